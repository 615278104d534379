# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: the table of tasks, calibration samples, and processes that are measured from outside.

Every figure of time or memory is that of a whole process as wait4 reports it, so that a compiler in C and a script in Python are
weighed on the same scale. Nothing is written outside the work folder.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
QCC = os.path.join(ROOT, "build", "release", "frontends", "cli", "qcc")

sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
import zoo  # noqa: E402  the networks that tests compare, too

# Tasks with labelled data, judged by tools/judge.py of the folder with the models.
JUDGED = zoo.pick("mobilenet_v2", "mobilenet_v1_025", "squeezenet11", "resnet20", "vww", "ds_cnn_s", "kwt1", "gru_l", "basic_lstm_m", "crnn_m",
                  "yolox_nano", "ultraface")
# Models without labels: only the distance of the outputs on random inputs can be told.
UNLABELLED = {
    "mnist": "mnist/model.onnx",
    "super_resolution": "super_resolution/model.onnx",
    "dtln_1": "dtln/model_1.onnx",
    "dtln_2": "dtln/model_2.onnx",
    "silero_vad": "silero_vad/silero_vad_16k_op15.onnx",
    "face_detection": "mediapipe/face_detection_short_range.onnx",
    "selfie_segmentation": "mediapipe/selfie_segmentation_landscape.onnx",
    **zoo.pick("mobilenet_v2_qdq"),
}
FREE_DIMS = {"sequence": 512}  # free dimensions of inputs that must not be 1
SEED_CALIB, SEED_EVAL = 1, 2


def parser(doc):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shared", default=os.environ.get("QCC_SHARED") or os.path.join(ROOT, "..", "shared"),
                   help="folder with zoo/ and tools/ (default: QCC_SHARED, or beside the repository)")
    p.add_argument("--qcc", default=QCC, help="compiler to measure")
    p.add_argument("--work", help="folder for samples and models; kept (default: a temporary one, removed)")
    return p


class Bench:
    """Paths, and a work folder that is gone afterwards unless it was asked for."""

    def __init__(self, args):
        self.shared, self.qcc = os.path.abspath(args.shared), os.path.abspath(args.qcc)
        self.temporary = not args.work
        self.work = os.path.abspath(args.work) if args.work else tempfile.mkdtemp(prefix="qcc-bench-")
        os.makedirs(self.work, exist_ok=True)

    def lacks(self):
        """What to tell a person when the models are not there."""
        here = os.path.isdir(os.path.join(self.shared, "zoo", "models"))
        return None if here else f"no models under {self.shared}; --shared names another folder"

    def __enter__(self):
        if self.lacks():
            print(f"skipped: {self.lacks()}")
            self.__exit__()
            sys.exit(77)
        if not os.access(self.qcc, os.X_OK):
            self.__exit__()
            sys.exit(f"no compiler at {self.qcc}; ./setup.sh demo builds it, --qcc names another")
        return self

    def __exit__(self, *_):
        if self.temporary:
            shutil.rmtree(self.work, ignore_errors=True)

    def model(self, task):
        path = JUDGED.get(task) or UNLABELLED.get(task)
        if not path:
            sys.exit(f"unknown task {task}; known: {' '.join(list(JUDGED) + list(UNLABELLED))}")
        return os.path.join(self.shared, "zoo", "models", path)

    def file(self, name):
        return os.path.join(self.work, name)

    def judge(self, *args):
        run([sys.executable, os.path.join(self.shared, "tools", "judge.py"), *args])

    def calib(self, task):
        """File with the samples of a labelled task that are reserved for calibration."""
        if not os.path.exists(self.file(task + ".npy")):
            self.judge(task, self.model(task), "--export-calib", self.work)
        return self.file(task + ".npy")

    def sources(self, task):
        """Sources of samples for --calib: the reserved ones, or random ones, a file for each input."""
        if task in JUDGED:
            return [self.calib(task)]
        feeds, sources = random_feeds(self.model(task), 16, SEED_CALIB), []
        for k, name in enumerate(feeds[0]):
            path = self.file(f"{task}.{k}.npy")
            np.save(path, np.stack([f[name] for f in feeds]))
            sources.append(f"{name}={path}")
        return sources

    def compile(self, task, level, out, *options):
        """Command that compiles a task; -O2 gets its samples."""
        data = [a for s in self.sources(task) for a in ("--calib", s)] if level >= 2 else []
        return [self.qcc, f"-O{level}", self.model(task), "-o", out, *data, *options]

    def peer(self, task, out):
        return [sys.executable, os.path.join(HERE, "peer_ort.py"), self.model(task), self.calib(task), out]


def run(command):
    """Standard output of a command; ends the benchmark with what the command said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


# A process begins with the memory of the one that started it, and its peak remembers that: only a small parent can tell.
LAUNCH = """
import os, sys, time
start = time.monotonic()
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as f:
    print(time.monotonic() - start, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status), file=f)
"""


def measured(command):
    """Seconds and peak megabytes of a whole process."""
    with tempfile.NamedTemporaryFile("r") as figures, tempfile.TemporaryFile() as log:
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, figures.name, shutil.which(command[0]), *command[1:]]
        subprocess.run(launcher, stdout=log, stderr=log, check=False)
        seconds, memory, code = map(float, figures.read().split() or (0, 0, -1))
        if code != 0:
            log.seek(0)
            sys.exit(f"{' '.join(command)}\nexit {int(code)}: {log.read().decode(errors='replace')[-2000:]}")
    return seconds, memory


def session(path, optimized=None):
    """ONNX Runtime on one thread; `optimized`: also write the graph that it really runs."""
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if optimized:
        options.optimized_model_filepath = optimized
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def random_feeds(path, count, seed):
    """Inputs of the right types and shapes: uniform in 0..1; integers are 16000, the one rate that a speech model may ask for."""
    rng = np.random.default_rng(seed)
    feeds = []
    inputs = session(path).get_inputs()
    for _ in range(count):
        feed = {}
        for i in inputs:
            shape = [d if isinstance(d, int) else FREE_DIMS.get(d, 1) for d in i.shape]
            feed[i.name] = rng.random(shape, np.float32) if "float" in i.type else np.full(shape, 16000, np.int64)
        feeds.append(feed)
    return feeds


def distance(a, b, feeds):
    """Median over samples of the SQNR in dB, of the output where it is worst."""
    first, second = session(a), session(b)
    rows = []
    for feed in feeds:
        pairs = zip(first.run(None, feed), second.run(None, feed))
        rows.append([10 * np.log10((np.sum(np.square(x, dtype=np.float64)) + 1e-30) / (np.sum(np.square(x.astype(np.float64) - y)) + 1e-30))
                     for x, y in pairs])
    return float(np.median(np.array(rows), axis=0).min())
