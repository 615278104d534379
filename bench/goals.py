# SPDX-License-Identifier: Apache-2.0
"""The goals for speed and memory, measured side by side on this machine, one verdict each.

  goals.py [P1 P4 ...] [--quick]

Speed: our process (runtime, observe) and that of ONNX Runtime (peer_session.py) stay open and take turns on one core, one thread each,
same inputs, batch 1. A turn is measured in processor time, because the machine may be busy; with several threads, and for whole
processes, by the clock. A ratio is the median over rounds of the ratio within a round; its spread is the distance of the quartiles. When
the first and the second half of the peer's turns differ by more than 8 %, the rounds are repeated. Two workers are judged by rounds in
which a probe of bare arithmetic says that the machine has two processors to give. Our graph is the one after @prepare, which is what
calibration runs and -O0 writes; --as-loaded: without any pass. Networks with random weights come from nets.py.

Without onnxruntime in this Python the script makes build/venv with the packages that setup.sh names, and goes on there. It builds the
programs that are not built.
"""
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def has_packages(python):
    there = subprocess.run([python, "-c", "import numpy, onnx, onnxruntime"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return there.returncode == 0


def use_packages():
    """Go on in an environment with the packages of setup.sh when they are not here."""
    venv = os.path.join(ROOT, "build", "venv")
    python = os.path.join(venv, "bin", "python")
    if has_packages(sys.executable):
        return
    if not os.path.exists(python) or not has_packages(python):
        print(f"making {venv}", file=sys.stderr)
        with open(os.path.join(ROOT, "setup.sh"), encoding="utf-8") as f:
            packages = re.search(r'python_packages="([^"]*)"', f.read()).group(1).split()
        try:
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
        except subprocess.CalledProcessError:
            sys.exit(f"no environment in {venv}: that takes the package python3-venv and a network, or a Python with {' '.join(packages)}")
    os.execv(python, [python, *sys.argv])


use_packages()
import numpy as np  # noqa: E402

import common  # noqa: E402
import nets  # noqa: E402

DRIFT, ATTEMPTS, TURN_SECONDS = 0.08, 3, 0.15
PROBE_COUNT, PROBE_SCALES = 10, 1.95
NINE_AND_ONE = nets.LIGHT + ["ultraface"]
QUANTIZED = ["resnet20", "mobilenet_v2", "squeezenet11", "ultraface", "yolox_nano", "kwt1"]
SMALL = ["kwt1", "bert_base", "gru_l", "basic_lstm_m", "silero_vad"]


# ---- processes that take turns

class Side:
    """A process that stays open and runs N samples when told so."""

    def __init__(self, label, command, cores):
        def place():
            os.sched_setaffinity(0, cores)
            try:
                os.nice(-10)
            except PermissionError:
                pass
        self.label, self.command, self.log = label, command, tempfile.TemporaryFile()
        self.by_clock = len(cores) > 1
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, preexec_fn=place)
        if self.answer() != "ready":
            self.fail()

    def answer(self):
        return self.process.stdout.readline().strip()

    def fail(self):
        self.log.seek(0)
        sys.exit(f"{' '.join(self.command)}\nfailed: {self.log.read().decode(errors='replace').strip()[-2000:]}")

    def turn(self, count):
        """Seconds per sample."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
            wall, processor = map(float, self.answer().split())
        except (BrokenPipeError, ValueError):
            self.fail()
        return (wall if self.by_clock else processor) / count

    def peak(self):
        """Most memory so far, MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"^VmHWM:\s*(\d+) kB", f.read(), re.M).group(1)) / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def quartiles(values):
    return statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3


class Race:
    """Turns of several sides, by label; the last one is the baseline."""

    def __init__(self, turns, steady):
        self.turns, self.steady = turns, steady

    def ms(self, label):
        return 1e3 * statistics.median(self.turns[label])

    def ratios(self, above, below):
        return [a / b for a, b in zip(self.turns[above], self.turns[below])]


def take_turns(sides, rounds, count):
    turns = {s.label: [] for s in sides}
    for r in range(rounds):
        for s in sides if r % 2 == 0 else reversed(sides):
            turns[s.label].append(s.turn(count))
    return turns


def race(sides, rounds, count=None):
    """`count`: samples per turn; default: enough for a turn that can be measured."""
    slowest = max(min(s.turn(1) for _ in range(3)) for s in sides)
    count = count or max(1, round(TURN_SECONDS / slowest))
    for _ in range(ATTEMPTS):
        turns = take_turns(sides, rounds, count)
        base, half = turns[sides[-1].label], rounds // 2
        steady = rounds < 4 or abs(statistics.median(base[:half]) / statistics.median(base[-half:]) - 1) <= DRIFT
        if steady:
            break
    return Race(turns, steady)


def in_turns(commands, rounds):
    """Wall seconds of whole processes, by label; {label: command}."""
    turns = {label: [] for label in commands}
    for _ in range(rounds):
        for label, command in commands.items():
            turns[label].append(common.measured(command)[0])
    return Race(turns, True)


# ---- what is measured

def build():
    """The programs that are measured, optimized; tests are built where the folder is configured for them."""
    folder = os.path.join(ROOT, "build", "release")
    print(f"building in {folder}", file=sys.stderr)
    configure = [] if os.path.exists(os.path.join(folder, "build.ninja")) else [["cmake", "--preset", "release", "-DQCC_TESTS=OFF"]]
    for command in configure + [["cmake", "--build", "--preset", "release", "--target", "qcc", "runtime", "observe", "probe"]]:
        try:
            subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        except (FileNotFoundError, subprocess.CalledProcessError):
            sys.exit(f"{' '.join(command)} failed; ./setup.sh demo installs what a build needs")


class Missing(Exception):
    """What a goal needs and this machine has not."""


class Goals(common.Bench):
    def __init__(self, args):
        super().__init__(args)
        self.args, self.known, self.told = args, {}, set()
        self.rounds = 5 if args.quick else 11
        self.core = {max(os.sched_getaffinity(0))}
        self.bin = os.path.abspath(os.path.join(os.path.dirname(self.qcc), "..", "..", "bench"))

    def __enter__(self):
        programs = [self.qcc] + [os.path.join(self.bin, name) for name in ("runtime", "observe", "probe")]
        if self.qcc == common.QCC and not all(map(os.path.exists, programs)):
            build()
        absent = [p for p in programs if not os.access(p, os.X_OK)]
        if absent:
            sys.exit(f"no {' '.join(absent)}; ./setup.sh demo builds them")
        return self

    def path(self, name):
        if name in common.JUDGED or name in common.UNLABELLED:
            if self.lacks():
                raise Missing(self.lacks())
            return self.model(name)
        folder = self.file("nets")
        path = os.path.join(folder, name + ".onnx")
        return path if os.path.exists(path) else nets.write(folder, name)

    def inputs(self, name):
        """The one sample: INPUT=FILE for us, an .npz for the peer."""
        npz, sources = self.file(name + ".npz"), []
        feed = common.random_feeds(self.path(name), 1, common.SEED_EVAL)[0]
        np.savez(npz, **feed)
        for k, (tensor, value) in enumerate(feed.items()):
            np.save(self.file(f"{name}.{k}.npy"), value[None])
            sources.append(f"{tensor}={self.file(f'{name}.{k}.npy')}")
        return npz, sources

    def ours(self, name, label="qcc", options=(), path=None, cores=None):
        prepare = [] if self.args.as_loaded else ["-p", "@prepare"]
        return Side(label, [os.path.join(self.bin, "runtime"), *prepare, *options, path or self.path(name), *self.inputs(name)[1]],
                    cores or self.core)

    def observing(self, name, watch):
        return Side(watch, [os.path.join(self.bin, "observe"), "-w", watch, self.path(name), *self.inputs(name)[1]], self.core)

    def peer(self, name, mode="all", label="ORT"):
        script = os.path.join(HERE, "peer_session.py")
        return Side(label, [sys.executable, script, self.path(name), mode, "1", self.inputs(name)[0], self.work], self.core)

    def race(self, key, make, count=None, longer=1):
        """A race, run once however many goals ask for it. `longer`: times as many rounds, for small differences."""
        if key not in self.known:
            sides = make()
            result = race(sides, longer * self.rounds, count)
            result.peaks = {s.label: s.peak() for s in sides}
            for s in sides:
                s.close()
            self.known[key] = result
        return self.known[key]

    def float_race(self, name):
        return self.race(("float", name), lambda: [self.ours(name), self.peer(name)])

    def samples(self, name, count):
        """File with `count` random samples of a network with one input."""
        path = self.file(f"{name}.{count}.calib.npy")
        if not os.path.exists(path):
            shape = next(iter(common.random_feeds(self.path(name), 1, 0)[0].values())).shape[1:]
            out = np.lib.format.open_memmap(path, "w+", np.float32, (count, *shape))
            for i in range(count):
                out[i] = np.random.default_rng(i).random(shape, np.float32)
            out.flush()
        return path

    def int8(self, name):
        """All in 8 bit that can be, whatever it costs there."""
        path = self.file(f"{name}.int8.onnx")
        common.run([self.qcc, "-q", "-O1", self.path(name), "-o", path, "--prefer", "size", "--calib", self.samples(name, 4)])
        return path


class Verdict:
    """One line and the lines that explain it."""

    def __init__(self, ratios, details=(), steady=True):
        q = quartiles(ratios)
        self.value, self.spread, self.details, self.steady = q[1], q[2] - q[0], list(details), steady
        self.unfit = None  # why this machine can give no verdict


def compared(label, base, race_, name, inverse=False):
    """How often `label` is faster than `base`, or with `inverse` slower; spread; a line of text."""
    ratios = race_.ratios(label, base) if inverse else race_.ratios(base, label)
    q = quartiles(ratios)
    text = (f"{name:<14} {label} {race_.ms(label):9.3f} ms, {base} {race_.ms(base):9.3f} ms, ratio {q[1]:5.3f}, spread {q[2] - q[0]:5.3f}"
            f"{'' if race_.steady else ', UNSTEADY'}")
    return ratios, q, text


def several(g, names, race_of, pick):
    """`pick` of the ratios of several networks."""
    rows, steady = [], True
    for name in names:
        g.path(name)  # a network that is missing is found before time is spent on the others
    for name in names:
        label, base, race_ = race_of(name)
        rows.append(compared(label, base, race_, name))
        steady = steady and race_.steady
    v = Verdict([pick([q[1] for _, q, _ in rows])], [text for _, _, text in rows], steady)
    v.spread = max(q[2] - q[0] for _, q, _ in rows)
    return v


def one(label, base, race_, name, inverse=False):
    ratios, _, text = compared(label, base, race_, name, inverse)
    return Verdict(ratios, [text], race_.steady)


def geometric(values):
    return float(np.exp(np.mean(np.log(values))))


def float_speed(names, pick):
    return lambda g: several(g, names, lambda n: ("qcc", "ORT", g.float_race(n)), pick)


def throughput(g):
    return one("qcc", "ORT", g.race("throughput", lambda: [g.ours("resnet50"), g.peer("resnet50")], 32), "resnet50 x 32")


def against_calibration(g):
    def race_of(n):
        return "range", "ORT", g.race(("minmax", n), lambda: [g.observing(n, "range"), g.peer(n, "range")])
    return several(g, ["resnet50", "squeezenet", "ultraface"], race_of, min)


def against_float(g):
    return one("range", "ORT", g.race("observed", lambda: [g.observing("resnet50", "range"), g.peer("resnet50")]), "resnet50")


def watching(g):
    return g.race("watch", lambda: [g.observing("resnet50", w) for w in ("range", "histogram", "none")], longer=5)


def observing(watch):
    def measure(g):
        return one(watch, "none", watching(g), "resnet50", inverse=True)
    return measure


def against_histogram(g):
    r = g.race("histogram", lambda: [g.observing("resnet50", "histogram"), g.peer("resnet50", "histogram")])
    return one("histogram", "ORT", r, "resnet50")


def two_workers(g):
    """Judged by the rounds in which the machine gives two processors: a probe before and after each tells."""
    cores = set(sorted(os.sched_getaffinity(0))[:2])
    if len(cores) < 2:
        raise Missing("one processor only")
    ours = [g.ours("resnet50", f"{n} workers", ["-t", str(n)], cores=cores) for n in (1, 2)]
    probe = [Side(f"probe {n}", [os.path.join(g.bin, "probe"), "-t", str(n)], cores) for n in (1, 2)]

    def scaling():
        one, two = (p.turn(PROBE_COUNT) for p in probe)
        return 2 * one / two
    for s in ours:
        s.turn(2)
    rows = []
    for r in range(3 * g.rounds):
        before = scaling()
        turns = {s.label: s.turn(8) for s in (ours if r % 2 else reversed(ours))}
        rows.append((turns["1 workers"] / turns["2 workers"], min(before, scaling())))
    for s in ours + probe:
        s.close()
    fit = [ratio for ratio, machine in rows if machine >= PROBE_SCALES]
    middle = [statistics.median(column) for column in zip(*rows)]
    text = (f"resnet50       all {len(rows)} rounds: 2 workers {middle[0]:5.3f}, probe {middle[1]:5.3f}, "
            f"ratio {statistics.median(a / b for a, b in rows):5.3f}; the probe scales by {PROBE_SCALES} in {len(fit)}")
    v = Verdict(fit if fit else [middle[0]], [text])
    v.unfit = "the machine does not scale" if len(fit) < g.rounds // 2 else None
    return v


def integers(g):
    def make():
        return [g.ours("resnet50", "exact", ["-x"], g.int8("resnet50")), g.ours("resnet50", "float")]
    return one("exact", "float", g.race("exact", make), "resnet50")


def fake_quantized(g):
    def race_of(n):
        return "fake", "float", g.race(("fake", n), lambda: [g.ours(n, "fake", path=g.int8(n)), g.ours(n, "float")])
    return several(g, QUANTIZED, race_of, geometric)


def calibration_memory(g):
    mine = watching(g).peaks["histogram"]
    peer = g.float_race("resnet50").peaks["ORT"]
    whole = common.measured([g.qcc, "-q", "-O1", g.path("resnet50"), "-o", g.file("out.onnx"), "--calib", g.samples("resnet50", 4)])[1]
    return Verdict([mine / peer], [f"resnet50       calibration with histograms {mine:.0f} MB, session of ORT {peer:.0f} MB; all of qcc -O1 {whole:.0f} MB"])


def growth(g):
    peak = {}
    for count in (10, 500):
        command = [g.qcc, "-q", "-O1", g.path("squeezenet"), "-o", g.file("out.onnx"), "--calib", g.samples("squeezenet", count)]
        peak[count] = statistics.median(common.measured(command)[1] for _ in range(3))
    return Verdict([peak[500] / peak[10]], [f"squeezenet     10 samples {peak[10]:.1f} MB, 500 samples {peak[500]:.1f} MB"])


def anonymous_peak(command):
    """Most anonymous memory of a process, MB, looked at as often as possible."""
    process, most = subprocess.Popen(command), 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
                found = re.search(r"^RssAnon:\s*(\d+) kB", f.read(), re.M)
        except (FileNotFoundError, ProcessLookupError):
            break
        most = max(most, int(found.group(1)) if found else 0)
    if process.wait() != 0:
        sys.exit(f"{' '.join(command)} failed")
    return most / 1024


def conversion_memory(g):
    size = os.path.getsize(g.path("resnet50")) / 2**20
    peaks = [anonymous_peak([g.qcc, "-q", "-O1", "--dynamic", g.path("resnet50"), "-o", g.file("out.onnx")]) for _ in range(3)]
    return Verdict([p / size for p in peaks], [f"resnet50       qcc -O1 --dynamic {statistics.median(peaks):.1f} MB anonymous, model {size:.1f} MB"])


def processes(a, b, name):
    def measure(g):
        commands = {"qcc": a(g), b[0]: b[1](g)}
        return one("qcc", b[0], in_turns(commands, 3 * g.rounds), name, inverse=True)
    return measure


def start(g):
    if not shutil.which("node"):
        raise Missing("no node to compare with")
    return processes(lambda g: [g.qcc, "--version"], ("node", lambda g: ["node", "-e", "0"]), "start")(g)


def same_bytes(g):
    details = []
    for name in ("squeezenet", "ultraface"):
        made = []
        for threads in ("1", "2"):
            out, plan = g.file(f"threads{threads}.onnx"), g.file(f"threads{threads}.json")
            common.run([g.qcc, "-q", "-O1", g.path(name), "-o", out, "--calib", g.samples(name, 10), "--threads", threads, "--save-plan", plan])
            made.append([open(p, "rb").read() for p in (out, plan)])
        details.append(f"{name:<14} {'the same bytes' if made[0] == made[1] else 'DIFFERENT BYTES'} with 1 and 2 workers")
    return Verdict([float(not any("DIFFERENT" in d for d in details))], details)


LEAST, MOST = ">=", "<="
VNNI = " avx512_vnni " in open("/proc/cpuinfo", encoding="ascii", errors="replace").read() if os.path.exists("/proc/cpuinfo") else False
TABLE = [
    ("P1", "float speed / ORT, geometric mean of ten networks", LEAST, 1.00, float_speed(NINE_AND_ONE, geometric)),
    ("P2", "float speed / ORT, worst of them", LEAST, 0.80, float_speed(NINE_AND_ONE, min)),
    ("P3", "float throughput / ORT over 32 images, ResNet-50", LEAST, 0.95, throughput),
    ("P4", "float speed / ORT, UltraFace", LEAST, 1.20, float_speed(["ultraface"], min)),
    ("P5", "min-max calibration / ORT's, worst of three networks", LEAST, 1.30, against_calibration),
    ("P6", "min-max calibration / float speed of ORT, ResNet-50", LEAST, 0.90, against_float),
    ("P7a", "time with extremes / without, ResNet-50", MOST, 1.02, observing("range")),
    ("P7b", "time with histograms / without, ResNet-50", MOST, 1.08, observing("histogram")),
    ("P8", "histogram calibration / ORT's, ResNet-50", LEAST, 2.50, against_histogram),
    ("P9", "throughput of 2 workers / 1 worker, ResNet-50", LEAST, 1.85, two_workers),
    ("P10", "exact int8 speed / float speed, ResNet-50", LEAST, 2.00 if VNNI else 0.90, integers),
    ("P11", "peak memory of calibration / session of ORT, ResNet-50", MOST, 0.60, calibration_memory),
    ("P12", "peak memory with 500 samples / with 10, SqueezeNet", MOST, 1.02, growth),
    ("P13", "anonymous memory of a conversion / size of the model", MOST, 0.30, conversion_memory),
    ("P14", "qcc info / onnx.load, 100 MB model", MOST, 0.05,
     processes(lambda g: [g.qcc, "info", g.path("resnet50")],
               ("onnx", lambda g: [sys.executable, "-c", f"import onnx; onnx.load({g.path('resnet50')!r})"]), "resnet50")),
    ("P15", "qcc --version / node -e 0", MOST, 0.08, start),
    ("P16", "the same bytes for any number of workers", LEAST, 1.00, same_bytes),
    ("P17", "float speed / ORT, worst of five small or recurrent ones", LEAST, 0.90, float_speed(SMALL, min)),
    ("P18", "fake-quantized speed / float speed, geometric mean of six", LEAST, 1.00, fake_quantized),
]


def processor_seconds():
    own = sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    with open("/proc/stat", encoding="ascii") as f:
        fields = list(map(int, f.readline().split()[1:9]))
    return own, (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def judge(g, row):
    name, text, direction, required, measure = row
    own, busy, start = *processor_seconds(), time.monotonic()
    try:
        v = measure(g)
    except Missing as reason:
        print(f"{name:<4} {text:<58} not there: {reason}", flush=True)
        return None
    own, busy, passed = processor_seconds()[0] - own, processor_seconds()[1] - busy, time.monotonic() - start
    met = v.value >= required if direction == LEAST else v.value <= required
    others = 100 * max(0.0, busy - own) / passed / os.cpu_count()
    word = v.unfit or ("met" if met else "MISSED")
    print(f"{name:<4} {text:<58} {v.value:6.3f}, spread {v.spread:5.3f}, required {direction} {required:4.2f}: {word}"
          f"{'' if v.steady else ', UNSTEADY'}; others used {others:.0f} % of the machine")
    for line in v.details:
        if line not in g.told:  # goals may share measurements
            print(f"       {line}")
        g.told.add(line)
    sys.stdout.flush()
    return None if v.unfit else met


def main():
    p = common.parser(__doc__)
    p.add_argument("goals", nargs="*", metavar="GOAL", help=" ".join(r[0] for r in TABLE))
    p.add_argument("--quick", action="store_true", help="fewer rounds")
    p.add_argument("--as-loaded", action="store_true", help="run our side without @prepare")
    p.set_defaults(work=os.path.join(ROOT, "build", "goals"))
    args = p.parse_args()
    known = {r[0] for r in TABLE} | {"P7"}
    if set(args.goals) - known:
        p.error(f"unknown: {' '.join(sorted(set(args.goals) - known))}")
    rows = [r for r in TABLE if not args.goals or r[0] in args.goals or r[0].rstrip("ab") in args.goals]
    with Goals(args) as g:
        met = [judge(g, r) for r in rows]
    missed = [r[0] for r, m in zip(rows, met) if m is False]
    print(f"{met.count(True)} met, {len(missed)} missed{': ' if missed else ''}{' '.join(missed)}, {met.count(None)} not there")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
