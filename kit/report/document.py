"""The figures as JSON: not rounded, the unit in each key, absent figures left out.

ASCII only, so that text from a bundle cannot hide characters and reads back unchanged.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict as asdict_of
from typing import Any

from msgspec.structs import asdict

from kit.figures.advantage import Advantage, Ratio
from kit.figures.cell import CellFigures, Latency, PassFigures, PromptFigures
from kit.figures.energy import Energy, NoEnergy
from kit.figures.intervals import CONFIDENCE, Interval
from kit.figures.summary import Summary
from kit.figures.throughput import Throughput
from kit.figures.window import SwarmFigures
from kit.report import wording

VERSION = 1
"""Format history. 1: first version."""

Object = dict[str, Any]


def render(summary: Summary) -> str:
    """Return the summary as an indented JSON object."""
    figures = {
        "figures_version": VERSION,
        "cells": [cell_figures(cell) for cell in summary.cells],
        "moe_advantages": [_advantage(advantage) for advantage in summary.advantages],
        "caveats": [*wording.caveats(summary), wording.closing(summary)],
    }
    return json.dumps(figures, indent=2, allow_nan=False) + "\n"


def cell_figures(cell: CellFigures) -> Object:
    """Return the figures of one cell; absent ones have no key."""
    document, plan = cell.bundle.document, cell.plan
    identity = {
        "bundle_id": cell.bundle.id,
        "status": document.status.value,
        "host_id": document.host_id,
        "model": plan.cell.model,
        "twin_of": plan.twin_of,
        "topology": plan.cell.topology,
        "suite": plan.cell.suite,
        "protocol": plan.protocol.value,
        "plan_digest": document.plan_digest,
        "engine_version": document.engine.version,
        "starts": cell.starts,
    }
    figures = {
        "pooled": _throughput(cell.pooled, cell.interval),
        "no_interval_because": cell.no_interval,
        "mean_of_columns_tokens_per_s": cell.mean_of_columns,
        "prompts": [_prompt(prompt) for prompt in cell.prompts],
        "passes": [_pass(pass_) for pass_ in cell.passes],
        "time_to_first_token": _latency(cell.time_to_first_token),
        "inter_token_latency": _latency(cell.inter_token),
        "roofline": _roofline(cell),
        "agents": None if cell.swarm is None else _swarm(cell.swarm),
        "goodput": None if cell.goodput is None else asdict_of(cell.goodput),
        "energy": None if cell.energy is None else _energy(cell.energy),
        "sustained": None if cell.sustained is None else asdict_of(cell.sustained),
        "queued_s": cell.bundle.queued_s,
        "deviations": [asdict(deviation) for deviation in plan.deviations],
    }
    return _present(identity | figures)


def _prompt(prompt: PromptFigures) -> Object:
    figures = _throughput(prompt.throughput, prompt.interval) or {}
    return {"prompt_id": prompt.prompt_id} | figures


def _pass(pass_: PassFigures) -> Object:
    return {
        "phase": pass_.phase.value,
        "pass": pass_.number,
        "complete": pass_.complete,
        "start_s": pass_.start_s,
        "end_s": pass_.end_s,
    } | (_throughput(pass_.throughput, None) or {})


def _throughput(throughput: Throughput | None, interval: Interval | None) -> Object | None:
    if throughput is None:
        return None
    bounds = {"interval_tokens_per_s": _interval(interval)} if interval else {}
    return {
        "tokens": throughput.tokens,
        "seconds": throughput.seconds,
        "tokens_per_s": throughput.tokens_per_s,
    } | bounds


def _latency(latency: Latency | None) -> Object | None:
    if latency is None:
        return None
    return _present(
        {
            "samples": len(latency.samples_s),
            "mean_s": latency.summary.mean_s,
            "median_s": latency.summary.median_s,
            "p90_s": latency.summary.p90_s,
            "p99_s": latency.summary.p99_s,
            "max_s": max(latency.samples_s),
        }
    )


def _roofline(cell: CellFigures) -> Object | None:
    if cell.roofline is None:
        return None
    return _present(
        {
            "gpus": list(cell.roofline.gpus),
            "bytes_per_s": cell.roofline.bytes_per_s,
            "tokens_per_s": cell.roofline.tokens_per_s,
            "share": cell.roofline_share,
        }
    )


def _swarm(swarm: SwarmFigures) -> Object:
    return _present(
        {
            "agents": swarm.agents,
            "windows": [asdict_of(window) for window in swarm.windows],
            "request_rates_tokens_per_s": list(swarm.request_rates),
            "agent_rates_tokens_per_s": list(swarm.agent_rates),
            "fairness": swarm.fairness,
            "requests": swarm.requests,
            "failed_requests": swarm.failed_requests,
            "requests_in_flight": swarm.in_flight,
            "as_published": [_throughput(one, None) for one in swarm.as_published],
        }
    )


def _energy(energy: Energy | NoEnergy) -> Object:
    if isinstance(energy, NoEnergy):
        return {"absent": energy.reason}
    return _present(
        {
            "counted_j": energy.counted_j,
            "integrated_j": energy.integrated_j,
            "seconds": energy.seconds,
            "tokens": energy.tokens,
            "idle_w": energy.idle_w,
            "power_limit_w": energy.power_limit_w,
            "joules_per_token": energy.joules_per_token,
            "net_joules_per_token": energy.net_joules_per_token,
            "wh_per_1000_tokens": energy.wh_per_1000_tokens,
            "held_by_power_ratio": energy.by_power,
            "held_by_heat_ratio": energy.by_heat,
        }
    )


def _advantage(advantage: Advantage) -> Object:
    return {
        "moe_bundle_ids": _ids(advantage.moe),
        "dense_bundle_ids": _ids(advantage.dense),
        "twins": advantage.is_twin,
        "pooled": _ratio(advantage.pooled),
        "prompts": [{"prompt_id": name} | _ratio(ratio) for name, ratio in advantage.prompts],
    }


def _ratio(ratio: Ratio) -> Object:
    bounds = {"interval": _interval(ratio.interval)} if ratio.interval else {}
    return {"ratio": ratio.value} | bounds


def _interval(interval: Interval) -> Object:
    return {"low": interval.low, "high": interval.high, "confidence": CONFIDENCE}


def _ids(cells: Sequence[CellFigures]) -> list[str]:
    return [cell.bundle.id for cell in cells]


def _present(values: Mapping[str, Any]) -> Object:
    return {key: value for key, value in values.items() if value is not None}
