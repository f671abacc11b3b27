from hypothesis import given
from hypothesis import strategies as st

from release.measure.tree import Tree, plant

PROMPTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=20)


def path_of(tree: Tree, node: int) -> list[int]:
    tokens: list[int] = []
    while node >= 0:
        tokens.append(tree.tokens[node])
        node = tree.parents[node]
    return tokens[::-1]


@given(PROMPTS, st.integers(1, 60))
def test_every_prompt_is_the_path_to_its_end(prompts: list[list[int]], budget: int) -> None:
    found = {
        i: path_of(tree, end) for tree in plant(prompts, budget) for i, end in zip(tree.prompts, tree.ends, strict=True)
    }
    assert [found[i] for i in range(len(prompts))] == prompts


@given(PROMPTS, st.integers(1, 60))
def test_nodes_are_the_different_beginnings_of_a_trees_prompts(prompts: list[list[int]], budget: int) -> None:
    for tree in plant(prompts, budget):
        beginnings = {tuple(prompts[i][: k + 1]) for i in tree.prompts for k in range(len(prompts[i]))}
        assert len(tree.tokens) == len(beginnings)


@given(PROMPTS, st.integers(1, 60))
def test_a_tree_keeps_to_the_budget_or_holds_one_long_path(prompts: list[list[int]], budget: int) -> None:
    for tree in plant(prompts, budget):
        longest = max(len(prompts[i]) for i in tree.prompts)
        assert len(tree.tokens) <= budget or len(tree.tokens) == longest


@given(PROMPTS)
def test_a_node_sees_its_ancestors_alone(prompts: list[list[int]]) -> None:
    for tree in plant(prompts, 40):
        seen = tree.ancestry()
        for node in range(len(tree.tokens)):
            chain, at = set(), node
            while at >= 0:
                chain.add(at)
                at = tree.parents[at]
            assert set(seen[node].nonzero()[0].tolist()) == chain
            assert tree.depths[node] == len(chain) - 1


@given(PROMPTS)
def test_the_largest_tree_comes_first(prompts: list[list[int]]) -> None:
    sizes = [len(tree.tokens) for tree in plant(prompts, 20)]
    assert sizes == sorted(sizes, reverse=True)
