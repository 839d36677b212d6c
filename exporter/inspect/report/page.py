"""The report as one HTML file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from artifact.manifest import Tensor
from exporter.inspect.report import plots
from exporter.inspect.report.collection import Cell, Report, parameter_bytes

_STYLE = Path(__file__).with_name("page.css")


def render(report: Report) -> str:
    """Returns the page's HTML."""
    manifest = report.manifest
    title = f"{manifest.model}/{manifest.version}"
    parts = [
        f'<header><h1>{escape(title)} <span class="{"good" if report.ok else "bad"}">'
        f"{escape(report.verdict)}</span></h1><p>{_origin(report)}</p></header>",
        _figures(report),
        _section(
            "Differences from JAX",
            f"The largest absolute difference of any output from JAX's answer, by batch size, at "
            f"random inputs. An output agrees within rtol {manifest.tolerance.rtol:g} and atol "
            f"{manifest.tolerance.atol:g}.",
            _matrix(report, "error"),
            _pictures([("Differences by batch size", plots.errors(report))]),
        ),
        _section(
            "Alone and in company",
            "The largest absolute difference between the answer to a row by itself and to the same "
            "row in a batch, by output. Where rows are proven to be independent, it is rounding: "
            "a compiler sums in another order for another batch size.",
            _company(report),
        ),
        _section(
            "Latency",
            "Median time of a call in milliseconds, of one caller on the machine that made this "
            "page, one after the other.",
            _matrix(report, "latency"),
            _pictures([("Latency by batch size", plots.latencies(report))]),
        ),
        _section("Signatures", "", _signatures(report)),
        _examples(report),
        _section(
            "Parameters",
            f"{report.num_parameters:,} numbers in {len(manifest.parameters)} arrays, "
            f"{_size(sum(parameter_bytes(manifest).values()))}.",
            _pictures([("Bytes by parameter", plots.parameters(report))])
            if manifest.parameters
            else "",
            _folded("All parameters", _parameters(report)),
        ),
        _section("Files and versions", "", _files(report)),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: report</title><style>{_STYLE.read_text()}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _origin(report: Report) -> str:
    manifest = report.manifest
    commit = (
        f", commit <code>{escape(manifest.git_commit[:12])}</code>" if manifest.git_commit else ""
    )
    platforms = ", ".join(manifest.platforms)
    return f"exported {escape(manifest.created[:16].replace('T', ' '))} UTC for {platforms}{commit}"


def _figures(report: Report) -> str:
    manifest = report.manifest
    tiles = [("max |difference| from JAX", f"{report.max_abs_err:.1e}")]
    tiles += [
        (name.replace("_", " "), f"{value:.2%}" if "accuracy" in name else f"{value:.4g}")
        for name, value in sorted(manifest.metrics.items(), key=lambda item: item[0], reverse=True)
    ]
    if report.accuracy is not None and report.examples is not None:
        count = len(next(iter(report.examples.inputs.values())))
        tiles.append((f"accuracy on its {count} examples", f"{report.accuracy:.2%}"))
    tiles.append(("parameters", f"{report.num_parameters:,}"))
    tiles.append(("on disk", _size(sum(report.files.values()))))
    body = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in tiles)
    return f'<section class="tiles">{body}</section>'


def _matrix(report: Report, what: str) -> str:
    head = ["runtime", "signature", *(f"batch {size}" for size in report.batch_sizes)]
    rows = []
    for runtime in report.runtimes:
        label = runtime
        for signature in report.manifest.signatures:
            cells = {c.batch_size: c for c in report.find(runtime, signature)}
            refusals = {c.refusal for c in cells.values()}
            if what == "latency" and "" not in refusals:
                continue
            if len(refusals) == 1 and (refusal := refusals.pop()):
                span = len(report.batch_sizes)
                entries = [f'<td colspan="{span}" class="refused">{escape(refusal)}</td>']
            else:
                entries = [_cell(cells.get(size), what) for size in report.batch_sizes]
            rows.append([f"<td>{escape(label)}</td>", f"<td>{escape(signature)}</td>", *entries])
            label = ""
    return _table(head, rows, numbers_from=2)


def _company(report: Report) -> str:
    head = ["runtime", "signature", "output", "rows independent", "at batch", "max |difference|"]
    rows = []
    for row in report.company:
        texts = (
            row.runtime,
            row.signature,
            row.output,
            "proven" if row.is_proven else "not proven",
        )
        kind = "good" if row.agrees else "bad" if row.is_proven else "refused"
        rows.append(
            [
                *(f"<td>{escape(text)}</td>" for text in texts),
                f"<td>{row.batch_size}</td>",
                f'<td class="{kind}">{_number(row.max_abs_diff)}</td>',
            ]
        )
    refusals = [
        f"<p>{escape(name)}: not proven, for {escape(entry.row_wise_refusal)}</p>"
        for name, entry in report.manifest.signatures.items()
        if entry.row_wise_refusal
    ]
    return _table(head, rows, numbers_from=4) + "".join(refusals)


def _number(value: float | None) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _cell(cell: Cell | None, what: str) -> str:
    if cell is None:
        return "<td></td>"
    if cell.refusal:
        return f'<td class="refused" title="{escape(cell.refusal)}">refused</td>'
    if what == "latency":
        return f"<td>{cell.milliseconds:.2f}</td>"
    return f'<td class="{"good" if cell.agrees else "bad"}">{_number(cell.max_abs_err)}</td>'


def _signatures(report: Report) -> str:
    rows = []
    for name, entry in report.manifest.signatures.items():
        label, method = name, entry.method_name.rpartition("/")[2]
        tensors = [("input", k, v) for k, v in entry.inputs.items()]
        tensors += [("output", k, v) for k, v in entry.outputs.items()]
        for kind, tensor_name, tensor in tensors:
            texts = (label, method, kind, tensor_name, _shape(tensor), tensor.dtype)
            rows.append([f"<td>{escape(text)}</td>" for text in texts])
            label = method = ""
    return _table(["signature", "method", "", "name", "shape", "dtype"], rows)


def _examples(report: Report) -> str:
    pictures = [
        ("Real inputs, and what is inferred", plots.images(report)),
        ("What is taken for what", plots.confusion(report)),
    ]
    drawn = [(text, svg) for text, svg in pictures if svg is not None]
    return _section("Examples", "", _pictures(drawn)) if drawn else ""


def _parameters(report: Report) -> str:
    sizes = parameter_bytes(report.manifest)
    rows = [
        [
            f"<td><code>{escape(p.path)}</code></td>",
            f"<td>{'×'.join(map(str, p.shape)) or 'scalar'}</td>",
            f"<td>{p.dtype}</td>",
            f"<td>{sizes[p.path]:,}</td>",
        ]
        for p in report.manifest.parameters
    ]
    return _table(["parameter", "shape", "dtype", "bytes"], rows, numbers_from=3)


def _files(report: Report) -> str:
    files = [
        [f"<td><code>{escape(path)}</code></td>", f"<td>{size:,}</td>"]
        for path, size in report.files.items()
    ]
    versions = [
        [f"<td>{escape(name.replace('_', ' '))}</td>", f"<td>{escape(version)}</td>"]
        for name, version in report.manifest.versions.items()
    ]
    tables = _table(["file", "bytes"], files, numbers_from=1), _table(["made with", ""], versions)
    return f'<div class="pair">{"".join(tables)}</div>'


def _section(title: str, text: str, *parts: str) -> str:
    lead = f"<p>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>{lead}{''.join(parts)}</section>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _pictures(pictures: Sequence[tuple[str, str]]) -> str:
    figures = []
    for text, svg in pictures:
        data = base64.b64encode(svg.encode()).decode()
        image = f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'
        figures.append(f"<figure>{image}<figcaption>{escape(text)}</figcaption></figure>")
    return f'<div class="pictures">{"".join(figures)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 99) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    kind = f' class="numbers-{numbers_from}"' if numbers_from < 99 else ""
    head_row = f"<thead><tr>{names}</tr></thead>"
    return f'<div class="scroll"><table{kind}>{head_row}<tbody>{body}</tbody></table></div>'


def _shape(tensor: Tensor) -> str:
    names = ["batch", *["any"] * len(tensor.shape)]
    sizes = [n if size is None else str(size) for n, size in zip(names, tensor.shape, strict=False)]
    return f"[{', '.join(sizes)}]"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
