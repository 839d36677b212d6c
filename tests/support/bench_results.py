"""Results as `python -m bench` collects them, with made-up figures that follow a rule."""

from bench.cases import CASES

SERVERS = {
    "embedded": (0.9, ("grpc", "v2-grpc", "v2-binary", "v2-json", "rest")),
    "TensorFlow Serving": (0.5, ("grpc", "rest")),
    "KServe": (0.4, ("v2-binary", "v2-grpc")),
    "LitServe": (0.01, ("raw",)),
}
LIMITS = {"mnist_flax": 10_000.0, "resnet": 12.0, "encoder": 30.0}
_CLOSED = {
    "p99_9_ms": None,
    "server_cpu_us": 100.0,
    "cpu_us": 150.0,
    "errors": {},
    "unsent": 0,
    "generator_cpu": 0.3,
    "foreign_cpu": 0.01,
}


def results():
    """All models, two rounds, and everything beside the closed loops."""
    machine = {"processor": "a processor", "cores": "2", "memory": "24 GiB"}
    machine |= {"date": "2026-01-02", "commit": "0123456789ab"}
    cases = {name: _case(CASES[name], limit) for name, limit in LIMITS.items()}
    return {"machine": machine, "seconds": 1.0, "resumed": False, "price": 0.04, "cases": cases}


def _case(case, limit):
    closed, at = [], []
    for number in range(2):
        for size in case.limit_sizes:
            for callers in (1, 2):
                rate = limit * (1 + 0.1 * (callers - 1)) * (1.5 if size == 4 else 1.0)
                figures = {"examples_per_s": rate, "cpu_us": 90.0, "p50_ms": 1.0, "p99_ms": 2.0}
                of = {"round": number, "batch_size": size, "callers": callers}
                at.append({**of, **figures, "foreign_cpu": 0.0})
        for server, (share, protocols) in SERVERS.items():
            for place, protocol in enumerate(protocols):
                for load in case.loads:
                    closed.append(_closed(number, server, protocol, load, limit, share, place))
    return {
        "about": case.about,
        "rounds": 2,
        "limit": at,
        "closed": closed,
        "windows": [],
        "starts": dict.fromkeys(SERVERS, 2.5),
        "memory": {name: {"peak_rss_mib": 300.0, "pss_mib": 250.0} for name in SERVERS},
        "curves": [
            _point(server, protocols[0], limit * share, offered)
            for server, (share, protocols) in SERVERS.items()
            for offered in (0.1, 0.5, 0.8, 1.0, 1.2)
        ],
        "startup": {
            "cold_start_s": 4.0,
            "warm_start_s": 2.0,
            "memory_mib": 260.0,
            "memory_per_further_model_mib": 6.0,
            "first_requests": {"1": {"first_ms": 3.0, "steady_p99_ms": 2.0}},
        },
        "swap": {
            "embedded": {
                "rate": 100.0,
                "protocol": "grpc",
                "steady": {"p50_ms": 1.0, "p99_ms": 2.0, "p99_9_ms": 3.0, "errors": {}},
                "swap": {"p50_ms": 1.0, "p99_ms": 4.0, "p99_9_ms": 9.0, "errors": {}},
            }
        },
        "failures": {"Ray Serve": "it ended; the end of its log:\nno room"},
    }


def _closed(number, server, protocol, load, limit, share, place):
    is_slow = share < 0.1
    return {
        "round": number,
        "server": server,
        "protocol": protocol,
        "batch_size": load.batch_size,
        "in_flight": load.in_flight,
        "answers": 3 if is_slow else 1000,
        "seconds": 4.0,
        "is_slow": is_slow,
        "examples_per_s": limit * 1.1 * share * 0.9**place,
        "p50_ms": load.in_flight / share,
        "p99_ms": 2 * load.in_flight / share,
        **_CLOSED,
    }


def _point(server, protocol, capacity, offered):
    """Queueing: latency grows as the server gets busy, and past it the rate isn't kept up with."""
    busy = min(offered, 0.99)
    return {
        **_CLOSED,
        "subject": server,
        "protocol": protocol,
        "rate": capacity * offered,
        "answers": 1000,
        "seconds": 2.0,
        "is_slow": False,
        "examples_per_s": capacity * min(offered, 1.0),
        "p50_ms": 1.0 / (1 - busy),
        "p99_ms": 4.0 / (1 - busy),
    }
