# The worker with the CPU stand-in of ComfyUI: no GPU, no models. For trying the API and for tests, never for pictures
# that matter.
#   docker build -f docker/standin.Dockerfile -t comfyui-worker:standin .
FROM python:3.12-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1001 comfy \
    && install -d -o comfy -g comfy /comfyui /data

WORKDIR /opt/worker
COPY pyproject.toml ./
RUN python -m venv /opt/worker-venv \
    && python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["standin"], sep="\n")' > /tmp/requirements.txt \
    && /opt/worker-venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt \
    && ln -s /opt/worker/start.sh /start.sh

COPY handler.py start.sh test_input.json ./
COPY api ./api
COPY docker ./docker

ENV COMFY_STANDIN=true \
    COMFY_ROOT=/comfyui \
    COMFY_LOG_LEVEL=INFO \
    PYTHONUNBUFFERED=1

USER 1001
EXPOSE 8000 8188
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["/opt/worker/docker/healthcheck.sh"]
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/start.sh"]
