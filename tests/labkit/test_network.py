"""The shipped network and images: what PROVENANCE.md states is measured here."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labkit import network as network_module
from labkit.errors import WeightsError
from labkit.network import Perceptron, load_demo_images, load_demo_network

DATA = Path(str(files("labkit.data")))
PROVENANCE = (DATA / "PROVENANCE.md").read_text(encoding="utf-8")
Images = tuple[NDArray[np.float32], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def network() -> Perceptron:
    return load_demo_network()


@pytest.fixture(scope="module")
def images() -> Images:
    return load_demo_images()


def stated(pattern: str) -> float:
    found = re.search(pattern, PROVENANCE)
    assert found, f"PROVENANCE.md does not state {pattern!r}"
    return float(found[1])


def noisy(network: Perceptron, fraction: float, seed: int) -> Perceptron:
    rng = np.random.default_rng(seed)
    return Perceptron(
        {
            name: w + fraction * np.abs(w).max() * rng.standard_normal(w.shape, dtype=np.float32)
            for name, w in network.layers().items()
        }
    )


def small() -> dict[str, NDArray[np.float32]]:
    return {
        "layer1": np.array([[1, -1], [2, 1], [0.5, 0]], np.float32),
        "layer2": np.array([[1, 0, 0], [0, 3, 0], [0, 0, 1]], np.float32),
    }


# The shipped network ----------------------------------------------------------------------------------------


def test_shape_and_parameter_count(network: Perceptron) -> None:
    layers = network.layers()
    assert {name: w.shape for name, w in layers.items()} == {"layer1": (785, 250), "layer2": (251, 10)}
    assert all(w.dtype == np.float32 and np.isfinite(w).all() for w in layers.values())
    assert network.inputs == 784
    assert network.parameters == sum(w.size for w in layers.values()) == 198_760


def test_accuracy_is_the_stated_one_and_at_least_98_percent(network: Perceptron, images: Images) -> None:
    accuracy = 100 * network.accuracy(*images)
    # One image may fall on the other side where another BLAS rounds differently.
    assert accuracy == pytest.approx(stated(r"Test accuracy of the shipped file: (\d+\.\d\d) %"), abs=0.011)
    assert accuracy >= 98.0


def test_programming_noise_costs_at_most_0_4_points(network: Perceptron, images: Images) -> None:
    clean = network.accuracy(*images)
    with_noise = [noisy(network, 0.035, seed).accuracy(*images) for seed in range(5)]
    assert clean - min(with_noise) <= 0.004
    assert min(with_noise) < clean  # the noise did reach the weights


def test_no_rare_weight_sets_the_scale(network: Perceptron) -> None:
    for name, weights in network.layers().items():
        assert np.abs(weights).max() <= 2.55 * weights.std(), name


def test_first_digits_are_those_of_the_set(network: Perceptron, images: Images) -> None:
    ink, labels = images
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert network.predict(ink[:5]).tolist() == [7, 2, 1, 0, 4]


# The images -------------------------------------------------------------------------------------------------


def test_images_are_ink_from_0_to_1(images: Images) -> None:
    ink, labels = images
    assert ink.shape == (10_000, 784)
    assert ink.dtype == np.float32
    assert labels.shape == (10_000,)
    assert labels.dtype == np.uint8
    assert ink.min() == 0.0
    assert ink.max() == 1.0
    assert np.unique(labels).tolist() == list(range(10))


def test_images_and_labels_are_the_published_idx_files_to_the_byte(images: Images) -> None:
    ink, labels = images
    pixels = np.rint(ink * 255).astype(np.uint8)
    idx = {
        "t10k-images-idx3-ubyte": np.array([0x803, 10_000, 28, 28], ">u4").tobytes() + pixels.tobytes(),
        "t10k-labels-idx1-ubyte": np.array([0x801, 10_000], ">u4").tobytes() + labels.tobytes(),
    }
    for name, content in idx.items():
        assert f"| `{name}` | {len(content)} | `{hashlib.sha256(content).hexdigest()}` |" in PROVENANCE


@pytest.mark.parametrize(("name", "limit"), [("mnist_mlp.npz", 500_000), ("mnist_test.npz", 1_500_000)])
def test_shipped_files_are_small_and_as_stated(name: str, limit: int) -> None:
    content = (DATA / name).read_bytes()
    assert len(content) <= limit
    assert f"| `{name}` | {len(content)} | `{hashlib.sha256(content).hexdigest()}` |" in PROVENANCE
    with zipfile.ZipFile(DATA / name) as archive:
        assert all(member.endswith(".npy") for member in archive.namelist())


def test_every_shipped_file_has_a_provenance() -> None:
    shipped = {
        path.name for path in DATA.iterdir() if path.suffix not in {".py", ".md", ".yaml"} and path.is_file()
    }
    assert shipped == {"mnist_mlp.npz", "mnist_test.npz"}


# The class --------------------------------------------------------------------------------------------------


def test_forward_pass_by_hand() -> None:
    tiny = Perceptron(small())
    # hidden = relu([1*1 + 2*2 + 0.5, -1*1 + 1*2]) = [5.5, 1]; scores = [5.5, 3*1, 0] + [0, 0, 1]
    assert tiny.scores([[1, 2], [0, -1]]).tolist() == [[5.5, 3.0, 1.0], [0.0, 0.0, 1.0]]
    assert tiny.predict([[1, 2], [0, -1]]).tolist() == [0, 2]
    assert tiny.accuracy([[1, 2], [0, -1]], [0, 1]) == 0.5
    expected = np.exp([5.5, 3.0, 1.0]) / np.exp([5.5, 3.0, 1.0]).sum()
    assert tiny.probabilities([[1, 2]])[0] == pytest.approx(expected, rel=1e-6)


def test_probabilities_of_huge_scores_stay_finite() -> None:
    huge = Perceptron({"layer1": [[1e6, -1e6], [0.0, 0.0]]})
    assert huge.probabilities([[1.0]]).tolist() == [[1.0, 0.0]]


def test_images_given_are_not_changed() -> None:
    ink = np.full((3, 2), -1.0, np.float32)
    Perceptron(small()).predict(ink)
    assert (ink == -1.0).all()


def test_layers_are_copies_both_ways() -> None:
    given = small()
    tiny = Perceptron(given)
    given["layer1"][:] = 0
    tiny.layers()["layer2"][:] = 0
    for name, weights in small().items():
        assert np.array_equal(tiny.layers()[name], weights)


def test_round_trip_of_the_layers(network: Perceptron, images: Images) -> None:
    again = Perceptron(network.layers())
    assert np.array_equal(again.scores(images[0][:100]), network.scores(images[0][:100]))


@pytest.mark.parametrize(
    ("change", "layer", "message"),
    [
        ({"layer1": np.zeros(5)}, "layer1", r"shape \(5,\)"),
        ({"layer1": np.zeros((1, 2))}, "layer1", r"shape \(1, 2\)"),
        ({"layer2": np.zeros((3, 0))}, "layer2", r"empty, its shape is \(3, 0\)"),
        ({"layer2": np.zeros((2, 3))}, "layer2", "2 rows, but layer1 has 2 outputs, so 3 are needed"),
        ({"layer2": np.full((3, 3), np.nan)}, "layer2", "9 weights that are not finite"),
        ({"layer1": np.full((3, 2), 1e300)}, "layer1", "6 weights that are not finite"),
        ({"layer1": [["a", "b"]]}, "layer1", "<U1, not real numbers"),
        ({"layer1": [[1, 2], [3]]}, "layer1", "not an array of numbers"),
        ({"layer1": np.zeros((3, 2), complex)}, "layer1", "complex128, not real numbers"),
    ],
)
def test_bad_layers_are_refused(change: dict[str, NDArray[np.float64]], layer: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        Perceptron({**small(), **change})
    assert caught.value.layer == layer


def test_no_layers_are_refused() -> None:
    with pytest.raises(WeightsError, match="no layers"):
        Perceptron({})


@pytest.mark.parametrize("shape", [(2,), (4, 3), (1, 2, 2)])
def test_images_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match=r"images of shape \(n, 2\)"):
        Perceptron(small()).predict(np.zeros(shape))


@pytest.mark.parametrize(("count", "labels"), [(3, [0, 1]), (2, [[0], [1]]), (0, [])])
def test_labels_that_do_not_belong_to_the_images_are_refused(count: int, labels: list[int]) -> None:
    with pytest.raises(ValueError, match=f"{count} images need one label each"):
        Perceptron(small()).accuracy(np.zeros((count, 2)), labels)


# Damage and speed -------------------------------------------------------------------------------------------


def damaged_copy(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    shutil.copy(DATA / name, path)
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "rotten":
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
    else:
        np.savez(path, other=np.zeros(3))


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "rotten", "another archive"])
@pytest.mark.parametrize(
    ("name", "load"), [("mnist_mlp.npz", load_demo_network), ("mnist_test.npz", load_demo_images)]
)
def test_damaged_files_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, name: str, load: object
) -> None:
    damaged_copy(tmp_path, name, damage)
    monkeypatch.setattr(network_module, "files", lambda package: tmp_path)
    assert callable(load)
    with pytest.raises(WeightsError, match=f"{re.escape(name)} is missing or damaged") as caught:
        load()
    assert caught.value.path == tmp_path / name


def test_import_needs_nothing_heavier_than_numpy() -> None:
    program = (
        "import sys, labkit.network as n; n.load_demo_network()\n"
        "heavy = {'scipy', 'pandas', 'numba', 'matplotlib', 'pyarrow', 'pyvisa'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The training script ----------------------------------------------------------------------------------------

SCRIPT = Path(__file__).parents[2] / "examples" / "train_mnist.py"


def write_idx(
    folder: Path, split: str, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], packed: bool
) -> None:
    count = len(labels)
    for name, head, content in (
        (f"{split}-images-idx3-ubyte", [0x803, count, 28, 28], pixels.tobytes()),
        (f"{split}-labels-idx1-ubyte", [0x801, count], labels.tobytes()),
    ):
        data = np.array(head, ">u4").tobytes() + content
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)


def train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(folder), "--out", str(folder / "weights.npz"), *options]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_training_script_learns_and_repeats_itself(tmp_path: Path, images: Images) -> None:
    pixels, labels = np.rint(images[0] * 255).astype(np.uint8), images[1]
    write_idx(tmp_path, "train", pixels[:2000], labels[:2000], packed=True)
    write_idx(tmp_path, "t10k", pixels[2000:3000], labels[2000:3000], packed=False)
    written = []
    for _ in range(2):
        done = train(tmp_path, "--epochs", "4", "--batch", "32", "--pack-test", str(tmp_path / "test.npz"))
        assert done.returncode == 0, done.stderr
        written.append((tmp_path / "weights.npz").read_bytes())
    assert written[0] == written[1]
    found = re.search(r"test accuracy (\d+\.\d+)%", done.stdout)
    assert found
    assert float(found[1]) > 80
    with np.load(tmp_path / "weights.npz") as stored:
        assert Perceptron(dict(stored)).parameters == 198_760
    with np.load(tmp_path / "test.npz") as stored:
        assert np.array_equal(stored["images"], pixels[2000:3000])
        assert np.array_equal(stored["labels"], labels[2000:3000])


def test_training_script_refuses_missing_and_cut_data(tmp_path: Path, images: Images) -> None:
    assert "exists" in train(tmp_path).stderr
    write_idx(tmp_path, "train", np.zeros((5, 700), np.uint8), images[1][:5], packed=False)
    done = train(tmp_path)
    assert done.returncode == 1
    assert "train-images-idx3-ubyte is not a whole idx file" in done.stderr
    assert not (tmp_path / "weights.npz").exists()
