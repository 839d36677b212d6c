"""The command line: `python -m web` builds the page and serves it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

EXAMPLES = """\
examples:
  python -m web                                  # build and serve on http://localhost:8080
  python -m web build --weights float32          # only build, with the models' exact weights
  python -m web serve --port 9000                # only serve what was built
  python -m web --server http://gpu-box:8501     # compare with another machine's answers
  python -m web build --preparation quickdraw    # models trained on the official bitmaps
"""
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, or 2 where something is missing or wrong."""
    from web.errors import BuildError

    args = _parser().parse_args(argv)
    try:
        if args.step != "serve":
            _build(args)
        if args.step != "build":
            _serve(args)
    except BuildError as error:
        print(f"web: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m web",
        description="Build the drawing page with its models, and serve it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("step", nargs="?", choices=("build", "serve"), help="only that (default: both)")
    add("--out", type=Path, default=Path("build/web"), metavar="DIR", help="(default: %(default)s)")
    add(
        "--model_path",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="published models; missing ones are trained into it (default: %(default)s)",
    )
    add(
        "--weights",
        default="float16",
        choices=("float32", "float16", "uint8"),
        help="how the browser gets them (default: %(default)s)",
    )
    add(
        "--preparation",
        default="quickdraw_sample",
        choices=("quickdraw", "quickdraw_sample"),
        help="the data that the Quick, Draw! model has learnt from (default: %(default)s)",
    )
    add(
        "--server",
        default="http://localhost:8501",
        metavar="URL",
        help="model server to compare with (default: %(default)s)",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8080, help="(default: %(default)s)")
    return parser


def _build(args: argparse.Namespace) -> None:
    from web.build import BuildOptions, build
    from web.models import ModelOptions

    defaults = ModelOptions()
    chosen = [
        replace(model, preparation=args.preparation) if model.name == "quickdraw" else model
        for model in defaults.models
    ]
    options = BuildOptions(
        out=args.out,
        server=_origin(args.server),
        models=ModelOptions(args.model_path, args.weights, chosen),
    )
    build(options)
    print(f"built {options.site} and {options.single_file}")


def _serve(args: argparse.Namespace) -> None:
    from web.errors import BuildError
    from web.serve import make_server

    site = args.out / "site"
    if not (site / "index.html").is_file():
        raise BuildError(f"{site}: holds no page; build it with `python -m web build`")
    try:
        server = make_server(site, host=args.host, port=args.port, servers=(_origin(args.server),))
    except OSError as error:
        raise BuildError(
            f"can't listen on {args.host}:{args.port}: {error.strerror}; take another --port"
        ) from None
    shown = "localhost" if args.host == "127.0.0.1" else args.host
    with server:
        print(f"draw on http://{shown}:{server.server_address[1]}  (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def _origin(url: str) -> str:
    from web.errors import BuildError

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BuildError(f"--server {url!r} is no address such as http://localhost:8501")
    return f"{parts.scheme}://{parts.netloc}"


if __name__ == "__main__":
    sys.exit(main())
