import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from release.models.tree import RUN, Query, Tree
from release.models.tree import plant as plant_sequences
from release.models.tree_attention import runs, whole_bias

READ = 10**9


def plant(prompts: list[list[int]], budget: int) -> list[Tree]:
    return plant_sequences([Query(tuple(prompt)) for prompt in prompts], budget, READ)


PROMPTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=20)


def chain_of(tree: Tree, node: int) -> list[int]:
    """A node's path by depths alone: in preorder its parent is the nearest before it that is one less deep."""
    chain = [node]
    for before in range(node, -1, -1):
        if tree.depths[before] == tree.depths[chain[-1]] - 1:
            chain.append(before)
    return chain[::-1]


def path_of(tree: Tree, node: int) -> list[int]:
    return [tree.tokens[each] for each in chain_of(tree, node)]


def seen(bias: torch.Tensor) -> np.ndarray:
    """Whether scores count."""
    assert set(bias.unique().tolist()) <= {0.0, torch.finfo(bias.dtype).min}
    return (bias == 0).numpy()


@given(PROMPTS, st.integers(1, 60))
def test_every_prompt_is_the_path_to_its_end(prompts: list[list[int]], budget: int) -> None:
    found = {
        i: path_of(tree, nodes[-1])
        for tree in plant(prompts, budget)
        for i, nodes in zip(tree.sequences, tree.wanted, strict=True)
    }
    assert [found[i] for i in range(len(prompts))] == prompts


@given(PROMPTS, st.integers(1, 60))
def test_nodes_are_the_different_beginnings_of_a_trees_prompts(prompts: list[list[int]], budget: int) -> None:
    for tree in plant(prompts, budget):
        beginnings = {tuple(prompts[i][: k + 1]) for i in tree.sequences for k in range(len(prompts[i]))}
        assert len(tree.tokens) == len(beginnings)


@given(PROMPTS, st.integers(1, 60))
def test_a_tree_keeps_to_the_budget_or_holds_one_long_path(prompts: list[list[int]], budget: int) -> None:
    for tree in plant(prompts, budget):
        longest = max(len(prompts[i]) for i in tree.sequences)
        assert len(tree.tokens) <= budget or len(tree.tokens) == longest


@given(PROMPTS)
def test_a_node_sees_its_ancestors_alone(prompts: list[list[int]]) -> None:
    for tree in plant(prompts, 40):
        found = seen(whole_bias(tree, torch.device("cpu"), torch.float32)[0, 0])
        for node in range(len(tree.tokens)):
            assert found[node].nonzero()[0].tolist() == chain_of(tree, node)
            assert tree.depths[node] == len(chain_of(tree, node)) - 1


@given(PROMPTS)
def test_the_largest_tree_comes_first(prompts: list[list[int]]) -> None:
    sizes = [len(tree.tokens) for tree in plant(prompts, 20)]
    assert sizes == sorted(sizes, reverse=True)


@given(PROMPTS, st.data())
def test_the_wanted_nodes_are_the_last_of_the_path(prompts: list[list[int]], data) -> None:
    wanted = [Query(tuple(p), data.draw(st.integers(1, len(p)))) for p in prompts]
    most = data.draw(st.integers(1, 20))
    for tree in plant_sequences(wanted, 30, most):
        asked = [wanted[i].last for i in tree.sequences]
        assert sum(asked) <= most or len(asked) == 1
        for i, nodes in zip(tree.sequences, tree.wanted, strict=True):
            assert len(nodes) == wanted[i].last
            for number, node in enumerate(nodes):
                stop = len(prompts[i]) - wanted[i].last + number + 1
                assert path_of(tree, node) == prompts[i][:stop]
        assert tree.read == sorted({node for nodes in tree.wanted for node in nodes})


def test_a_run_looks_at_exactly_what_its_nodes_attend_to() -> None:
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 2, rng.integers(5, 90)).tolist() for _ in range(60)]
    for tree in plant(prompts, 700):
        nodes, bias = runs(tree, torch.device("cpu"), torch.float16)
        found = seen(bias[:, 0])
        for node in range(len(tree.tokens)):
            looked_at = nodes[node // RUN].numpy()
            assert looked_at[found[node // RUN, node % RUN]].tolist() == chain_of(tree, node)
        assert nodes.shape[1] < len(tree.tokens)
        assert found.any(axis=2).all()
