#!/usr/bin/env python3
"""Measures and draws throughput over the numbers of connections and of sessions.

    cargo build --release --example load
    pip install matplotlib
    tests/bench/curves.py measure curves.json      # some minutes, on an otherwise idle machine
    tests/bench/curves.py draw curves.json tests/bench/curves

`measure` runs the load generator, which compares each result with the bare server of the same
minute; `draw` writes connections.svg and sessions.svg into a directory.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOAD = ROOT / 'target/release/examples/load'

SCENARIOS = ['get', 'list', 'heartbeat', 'create', 'send']
CONNECTIONS = [1, 4, 16, 64, 256]
SESSIONS = [100, 1_000, 10_000, 100_000]


def run(scenarios, *arguments):
    """Returns the results of the scenarios by name."""
    command = [LOAD, '--scenario', ','.join(scenarios), '--json', '--seconds', '2', '--rounds', '1', *map(str, arguments)]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {found['scenario']: found for found in report['scenarios']}


def measure(file):
    curves = {
        'connections': [{'at': count, 'found': run(SCENARIOS, '--connections', count)} for count in CONNECTIONS],
        'sessions': [{'at': count, 'found': run(SCENARIOS[:4], '--sessions', count)} for count in SESSIONS],
    }
    pathlib.Path(file).write_text(json.dumps(curves, indent=1))


def draw(file, directory):
    import matplotlib

    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'sessiond'
    from matplotlib import pyplot

    curves = json.loads(pathlib.Path(file).read_text())
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for what, points in curves.items():
        plot, (rates, shares) = pyplot.subplots(1, 2, figsize=(10, 4), layout='constrained')
        for scenario in points[0]['found']:
            at = [point['at'] for point in points]
            found = [point['found'][scenario] for point in points]
            rates.plot(at, [each['ours']['perSecond'] for each in found], marker='o', label=scenario)
            shares.plot(at, [each['share'] for each in found], marker='o', label=scenario)
        rates.set(title='answers per second', yscale='log')
        shares.set(title='share of a bare axum server', ylim=(0, None))
        for axes in (rates, shares):
            axes.set(xlabel=what, xscale='log', xticks=at, xticklabels=[f'{count:,}' for count in at])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        rates.legend()
        plot.savefig(directory / f'{what}.svg', metadata={'Date': None})


if __name__ == '__main__':
    match sys.argv[1:]:
        case ['measure', file]:
            measure(file)
        case ['draw', file, directory]:
            draw(file, directory)
        case _:
            sys.exit(__doc__)
