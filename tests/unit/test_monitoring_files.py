"""The dashboard and the alert rules: they parse, and name only metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.exposed import names

from api.gpu import Gpu
from api.jobs.job import Status
from api.metrics import Metrics, State

DOCKER = Path(__file__).resolve().parents[2] / "docker"
DASHBOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
RULES = DOCKER / "prometheus" / "alerts.yml"
# Prometheus's own.
UP = {"up"}
_NAME = re.compile(r"\b(?:comfyui|http_server|process)_[a-z0-9_]+\b")
_LABELS = re.compile(r"\{[^}]*\}")


def exposed() -> set[str]:
    instances = [{"name": "a", "status": "healthy"}]
    state = State({Status.QUEUED: 0}, False, 1, 1, instances, [Gpu("0", 1, 1, 1.0)])
    return names(Metrics("1", lambda: state).exposition("")[0].decode())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def queries(path: Path) -> list[str]:
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def named(query: str) -> set[str]:
    return set(_NAME.findall(_LABELS.sub("", query)))


def test_there_is_something_to_check() -> None:
    assert DASHBOARDS and len(rules()) > 5
    assert named('rate(comfyui_workflow_total{status="comfyui_no_metric"}[5m])') == {"comfyui_workflow_total"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_the_dashboards_show_only_what_there_is(path: Path) -> None:
    asked = set().union(*map(named, queries(path)))
    assert asked <= exposed()
    # And leave nothing of ours out.
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed() if name.startswith("comfyui_")}
    assert ours <= families


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_panel_has_its_place(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    (source,) = load(DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels if "datasource" in panel} == {source["uid"]}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_are_about_what_there_is_and_say_what_to_do(rule: dict[str, Any]) -> None:
    assert named(rule["expr"]) <= exposed() and (named(rule["expr"]) or "up{" in rule["expr"])
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_prometheus_reads_the_rules_and_scrapes_the_worker_of_the_compose_file() -> None:
    config = load(DOCKER / "prometheus" / "prometheus.yml")
    compose = load(DOCKER / "compose.monitoring.yaml")["services"]
    workers = load(DOCKER / "compose.yaml")["services"]
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    service, _, port = target.partition(":")
    assert service in workers and workers[service]["environment"]["API_PORT"] == port
    mounted = [volume.split(":") for each in compose.values() for volume in each["volumes"] if volume.startswith("./")]
    assert all((DOCKER / source).exists() for source, *_ in mounted)
    assert set(config["rule_files"]) <= {target for _, target, *_ in mounted}
    provider = load(DOCKER / "grafana" / "provisioning" / "dashboards" / "comfyui-worker.yaml")["providers"][0]
    assert provider["options"]["path"] in {target for _, target, *_ in mounted}
    assert 'job="comfyui-worker"' in rules()[0]["expr"]
    assert config["scrape_configs"][0]["job_name"] == "comfyui-worker"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_is_content() -> None:
    config = str(DOCKER / "prometheus" / "prometheus.yml")
    for command in (["check", "rules", str(RULES)], ["check", "config", "--syntax-only", config]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    exposition = Metrics("1", lambda: State({}, False, 1)).exposition("")[0]
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
