from api.ordering import natural_key


def test_node_ids_sort_as_people_count():
    ids = ["a", "10:3", "10", "2", "10:20", "1" * 5000, "02", "a2", "a10", "", "2.0.0.1", "9"]
    wanted = ["", "02", "2", "2.0.0.1", "9", "10", "10:3", "10:20", "1" * 5000, "a", "a2", "a10"]
    assert sorted(ids, key=natural_key) == wanted
