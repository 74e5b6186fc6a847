"""K-means of many problems at once against scikit-learn's, one after another. float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention.index.clusters import cluster, nearest

learn = pytest.importorskip("sklearn.cluster")


def theirs(x, first, iterations):
    """Centres and labels of scikit-learn, started from the points numbered `first`."""
    run = learn.KMeans(len(first), init=x[first], n_init=1, max_iter=iterations, tol=1e-4, algorithm="lloyd").fit(x)
    return run.cluster_centers_, run.labels_


def check(problems, firsts, iterations):
    """Compare problems [P, W] of different sizes, padded on the left."""
    most, width = max(len(x) for x in problems), problems[0].shape[1]
    x = torch.full((len(problems), most, width), 7.0, dtype=torch.float64)
    live = torch.zeros(len(problems), most, dtype=torch.bool)
    for row, points in enumerate(problems):
        x[row, most - len(points) :], live[row, most - len(points) :] = torch.from_numpy(points), True
    shift = torch.tensor([most - len(points) for points in problems])[:, None]
    centres, labels = cluster(x, live, torch.from_numpy(np.stack(firsts)) + shift, iterations)
    for row, (points, first) in enumerate(zip(problems, firsts, strict=True)):
        expected_centres, expected_labels = theirs(points, first, iterations)
        np.testing.assert_allclose(centres[row].numpy(), expected_centres, atol=1e-9)
        np.testing.assert_array_equal(labels[row, most - len(points) :].numpy(), expected_labels)


@given(
    st.lists(st.integers(12, 60), min_size=1, max_size=4),
    st.integers(2, 8),
    st.sampled_from([1, 2, 3, 25, 100]),
    st.integers(0, 999),
)
def test_clusters_are_scikit_learns(sizes, clusters, iterations, seed):
    draw = np.random.RandomState(seed)
    problems = [draw.randn(size, 3) for size in sizes]
    check(problems, [draw.choice(size, clusters, replace=False) for size in sizes], iterations)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@given(st.integers(1, 3), st.sampled_from([1, 2, 25]), st.integers(0, 999))
def test_empty_clusters_take_the_farthest_points_as_in_scikit_learn(copies, iterations, seed):
    draw = np.random.RandomState(seed)
    points = draw.randn(30, 2)
    points[1 : 1 + copies] = points[0]  # later ones of equal centres get no point
    check([points, draw.randn(20, 2)], [np.arange(6), np.arange(6)], iterations)


def test_centres_that_hardly_move_end_it_as_in_scikit_learn():
    draw = np.random.RandomState(3)
    points = draw.randn(4000, 2)
    iterations = [
        learn.KMeans(8, init=points[:8], n_init=1, max_iter=300, tol=tol, algorithm="lloyd").fit(points).n_iter_
        for tol in (1e-4, 0)
    ]
    assert iterations[0] < iterations[1]
    check([points], [np.arange(8)], 300)


def test_of_equal_distances_the_first_centre_is_taken(monkeypatch):
    centres = torch.tensor([[[1.0], [-1.0], [1.0]]])
    for at_once in (1, 1 << 22):
        monkeypatch.setattr("harness.attention.index.clusters.DISTANCES", at_once)
        assert nearest(torch.tensor([[[0.0], [2.0], [-3.0]]]), centres).tolist() == [[0, 0, 1]]


def test_points_that_are_all_the_same_stay_where_they_are():
    centres, _ = cluster(torch.ones(1, 5, 2), torch.ones(1, 5, dtype=torch.bool), torch.tensor([[0, 1]]), 5)
    assert centres.isfinite().all()
    assert torch.equal(centres[0, 0], torch.ones(2))
