"""Names of workflows: one standard name for all that a workflow is called, by table and by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.workflows.naming import builtin, standardize_workflow_name
from api.workflows.naming_table import NameEntry, Naming, plain


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("text2img", "text2img"),
        ("Text to Image", "text2img"),
        ("TEXT_TO_IMAGE", "text2img"),
        ("txt2img", "text2img"),
        ("  txt2img.json ", "text2img"),
        ("Text To Image v2", "text2img"),
        ("text-to-image (v1.2)", "text2img"),
        ("Inpainting", "inpaint"),
        ("remove_background", "remove-background"),
        ("upscale", "upscale-image"),
    ],
)
def test_the_built_in_table_knows_what_workflows_are_called(name: str, standard: str) -> None:
    assert standardize_workflow_name(name) == standard
    assert builtin().look_up(name).by == "table"


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("My Portrait", "my-portrait"),
        ("my__portrait--", "my-portrait"),
        ("My Portrait V2", "my-portrait"),
        ("My Portrait version 2.1", "my-portrait"),
        ("My Portrait (ver. 3).json", "my-portrait"),
        ("My Portrait v1 v2", "my-portrait"),
        ("Café Größe", "cafe-grosse"),
        ("ＳＤＸＬ", "sdxl"),
        ("文生图 v2", "文生图"),
        ("ガラス", "ガラス"),
        # Numbers that belong to a name stay.
        ("SD 1.5", "sd-1-5"),
        ("flux-2", "flux-2"),
        ("v2", "v2"),
        ("conv2", "conv2"),
        ("", ""),
        ("—/—", ""),
    ],
)
def test_other_names_are_standardized_by_rule(name: str, standard: str) -> None:
    looked_up = builtin().look_up(name)
    assert (looked_up.standard, looked_up.by, looked_up.entry) == (standard, "rule", None)


@given(st.text(max_size=300))
def test_a_standard_name_is_its_own_standard_name(name: str) -> None:
    standard = standardize_workflow_name(name)
    assert standardize_workflow_name(standard) == standard
    assert plain(standard) == standard


@given(st.text(alphabet="aB1 _-.v", max_size=20))
def test_capitals_and_what_stands_between_words_do_not_count(name: str) -> None:
    spaced = name.upper().replace("_", " ").replace("-", "  ")
    assert standardize_workflow_name(spaced) == standardize_workflow_name(name)


def test_a_name_of_any_length_is_read_at_once() -> None:
    assert standardize_workflow_name("x" * 2_000_000) == "x" * 256
    assert len(standardize_workflow_name("a-v1" * 1_000_000)) <= 256


class TestTheTable:
    def test_all_that_a_row_says_means_its_workflow(self) -> None:
        row = NameEntry("portrait", ("SDXL Portrait",), ("portrait_old",), ("face",), "Ours.")
        naming = Naming([row])
        assert {naming.standard(name) for name in ("sdxl portrait", "Portrait-Old", "FACE", "portrait")} == {"portrait"}
        assert naming.look_up("face").entry == row
        assert naming.problems == ()

    def test_a_version_may_be_a_workflow_of_its_own(self) -> None:
        naming = Naming([NameEntry("portrait-v2", ("Portrait v2",)), NameEntry("portrait")])
        names = ("Portrait v2", "Portrait v3", "Portrait", "portrait-v2")
        assert [naming.standard(name) for name in names] == ["portrait-v2", "portrait", "portrait", "portrait-v2"]

    def test_an_alias_of_two_rows_means_the_first_and_is_told(self) -> None:
        naming = Naming([NameEntry("cat", aliases=("pet",)), NameEntry("dog", aliases=("Pet",))])
        assert naming.standard("pet") == "cat"
        assert [problem.code for problem in naming.problems] == ["alias_twice"]
        assert "Pet" in naming.problems[0].message
        assert "cat" in naming.problems[0].message

    def test_an_alias_takes_no_name_from_another_workflow(self) -> None:
        naming = Naming([NameEntry("cat", aliases=("dog",)), NameEntry("dog")])
        assert naming.standard("dog") == "dog"
        assert [(problem.code, problem.names) for problem in naming.problems] == [
            ("alias_shadows_name", ("dog", "cat"))
        ]

    def test_the_table_over_it_goes_before(self) -> None:
        base = [NameEntry("inpaint", aliases=("inpainting", "fill")), NameEntry("resize", aliases=("scale",))]
        naming = Naming(base, over=[NameEntry("my-inpaint", aliases=("inpaint",)), NameEntry("resize", ("Scale it",))])
        assert naming.problems == ()
        assert {naming.standard(name) for name in ("inpaint", "inpainting", "fill")} == {"my-inpaint"}
        assert {naming.standard(name) for name in ("scale", "scale it")} == {"resize"}
        [resize] = [row for row in naming.entries if row.standard == "resize"]
        assert (resize.api, resize.aliases) == (("Scale it",), ("scale",))

    def test_standard_names_stay_what_they_are_under_any_table(self) -> None:
        rows = [NameEntry("a", aliases=("b", "c")), NameEntry("b", aliases=("a", "d")), NameEntry("d", aliases=("e",))]
        naming = Naming(rows[:2], over=rows[2:])
        for name in "abcde":
            assert naming.standard(naming.standard(name)) == naming.standard(name)


class TestCollisions:
    def test_names_of_the_api_that_become_one_are_told(self) -> None:
        [problem] = Naming([]).collisions(["My Flow", "my-flow v2", "Other"], ["resize"])
        assert (problem.code, problem.names) == ("same_standard", ("My Flow", "my-flow v2"))

    def test_not_those_that_the_table_says_are_one(self) -> None:
        naming = Naming([NameEntry("my-flow", ("My Flow", "my-flow v2"))])
        assert naming.collisions(["My Flow", "my-flow v2"]) == []
        assert [problem.names for problem in naming.collisions(local_names=["my_flow", "my-flow-v2"])] == [
            ("my-flow-v2", "my_flow")
        ]

    def test_one_name_in_both_places_is_the_point(self) -> None:
        assert builtin().collisions(["Text to Image"], ["txt2img"]) == []

    def test_those_of_the_table_itself_are_among_them(self) -> None:
        naming = Naming([NameEntry("cat", aliases=("dog",)), NameEntry("dog")])
        assert naming.collisions() == list(naming.problems)

    def test_the_built_in_table_has_none(self) -> None:
        assert builtin().collisions([name for row in builtin().entries for name in row.api]) == []


class TestWhichKnownNameIsMeant:
    known = ("resize", "upscale-image", "portrait-v1", "portrait-v2", "my_flow")

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("resize", ["resize"]),
            ("Resize Image", ["resize"]),
            ("upscale", ["upscale-image"]),
            ("My Flow", ["my_flow"]),
            ("Portrait V2", ["portrait-v2"]),
            ("portrait", ["portrait-v1", "portrait-v2"]),
            ("portrait-v3", []),
            # Never another version than the one asked for.
            ("resize-v2", []),
            ("unheard-of", []),
            ("", []),
            ("—", []),
        ],
    )
    def test_itself_or_those_of_its_standard_name(self, name: str, found: list[str]) -> None:
        assert builtin().matches(name, self.known) == found

    def test_the_standard_name_goes_before_others_that_become_it(self) -> None:
        assert builtin().matches("My Flow", ["my_flow", "my-flow"]) == ["my-flow"]

    def test_the_table_may_let_one_version_stand_for_another(self) -> None:
        naming = Naming([NameEntry("portrait", aliases=("portrait v3",))])
        assert naming.matches("portrait-v3", ["portrait"]) == ["portrait"]
