"""What the error texts of TensorFlow's runtime and of model servers mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.inspect.doctor.finding import Finding, wrong


@dataclass(frozen=True)
class _Symptom:
    check: str
    pattern: re.Pattern[str]
    meaning: str
    fix: str


def _symptom(check: str, pattern: str, meaning: str, fix: str) -> _Symptom:
    return _Symptom(check, re.compile(pattern, re.IGNORECASE | re.DOTALL), meaning, fix)


# The first that fits. Sources of the texts: tensorflow/compiler/tf2xla/kernels/
# xla_call_module_loader.cc, xla_call_module_op.cc, tensorflow/core/framework/op.cc, and
# tensorflow/compiler/jit (which says when XLA is off).
_SYMPTOMS = (
    _symptom(
        "XLA",
        r"XLA compilation disabled|XLA_CPU_JIT|no registered .*XlaCallModule.* kernel",
        "the server runs without XLA, which programs of JAX need",
        "start the server with --xla_cpu_compilation_enabled=true (the embedded server's xla "
        "engine needs no flag: leave out --engine=tensorflow)",
    ),
    _symptom(
        "runtime",
        r"XlaCallModule\w* with version \d+ is not supported|cannot deserialize|"
        r"fail\w+ to (deserialize|parse).{0,60}(portable artifact|computation|module)|"
        r"bytecode version|unsupported .{0,30}version",
        "the version was written for a newer runtime than the one that loads it",
        "export it again for the server's release, such as --target serving-2.19; or update the "
        "server",
    ),
    _symptom(
        "platform",
        r"not among the platforms|platform.{0,60}not (supported|found|available)",
        "the version was exported for other hardware than the server's",
        "export it again with the server's platform, such as --platforms cpu,cuda",
    ),
    _symptom(
        "runtime",
        r"Op type not registered",
        "the server's TensorFlow lacks an operation of the graph",
        "use a server of the TensorFlow release that the version was exported with, or later",
    ),
    _symptom(
        "memory",
        r"out of memory|RESOURCE_EXHAUSTED|failed to allocate|bad_alloc",
        "the server ran out of memory",
        "give the server more memory, or load fewer models or versions",
    ),
    _symptom(
        "variables",
        r"variables\.(data|index)|tensor bundle|checkpoint|DataLoss|Data loss|truncated",
        "the version's variables can't be read",
        "copy the whole directory again, under another name, and rename it at the end",
    ),
    _symptom(
        "dtype",
        r"Expects arg\[\d+\] to be \w+ but \w+ is provided|can't be sent over REST|dtype",
        "an input is of another dtype than the signature takes",
        "send the dtype that the signature says; complex numbers only by gRPC",
    ),
)


# Of a version that can't be loaded: only a warm-up record asks anything of it by then.
_WARM_UP = _symptom(
    "warm-up",
    r"warm.?up|shape|does not match signature|Expects arg|not found in signature|signature key|"
    r"truncated or damaged record",
    "a warm-up record can't be read, or the model refuses it",
    "export the version again; or serve it without warm-up: delete "
    "assets.extra/tf_serving_warmup_requests, or --enable_model_warmup=false",
)


def diagnose(error: str, otherwise: Finding, *, while_loading: bool = False) -> Finding:
    """Returns what an error text means, or another finding where it isn't known."""
    symptoms = [s for s in _SYMPTOMS if not (while_loading and s.check == "dtype")]
    for symptom in [*symptoms, *([_WARM_UP] if while_loading else [])]:
        if symptom.pattern.search(error):
            return wrong(symptom.check, f"{symptom.meaning}: {shortened(error)}", symptom.fix)
    return otherwise


def shortened(error: str, length: int = 300) -> str:
    """Returns a text on one line, its end left out where it is long."""
    line = " ".join(error.split())
    return line if len(line) <= length else f"{line[:length]}…"
