"""Other libraries behind one signature, and what they reach: `python benchmarks/peers.py --record`.

No library has to be installed. All get the same settings: simulated binary crossover with probability 0.9 and index 15,
polynomial mutation of one variable in the mean with index 20, and `generations` after the first population.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from problems import PROBLEMS, Evaluate, Floats, Problem

Run = Callable[[Problem, int, int], Floats]
Rank = Callable[[Floats], NDArray[np.intp]]
Repair = Callable[[Floats], Floats]

SIZE = 100
GENERATIONS = 250
SEEDS = range(31)
FRONT = 1000
RECORD = Path(__file__).resolve().parents[1] / "tests" / "data" / "peers.json"


def installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def version(library: str) -> str:
    if not installed(library):
        return f"{library} is not installed"
    return f"{library} {importlib.metadata.version(library)}{_build(library)}"


def _build(library: str) -> str:
    if library != "pymoo":
        return ""
    from pymoo.functions import is_compiled

    return " (compiled)" if is_compiled() else " (not compiled)"


def pygmo_nsga2(problem: Problem, seed: int, generations: int) -> Floats:
    """Algorithm and problem in C++."""
    import pygmo

    family, number = problem.name[:-1], int(problem.name[-1])
    same = pygmo.zdt(number, problem.variables) if family == "ZDT" else pygmo.dtlz(number, problem.variables, 3)
    settings = {"cr": 0.9, "eta_c": 15, "m": 1 / problem.variables, "eta_m": 20}
    algorithm = pygmo.algorithm(pygmo.nsga2(gen=generations, seed=seed, **settings))
    population = pygmo.population(pygmo.problem(same), size=SIZE, seed=seed)
    return np.asarray(algorithm.evolve(population).get_f())


def pymoo_nsga2(problem: Problem, seed: int, generations: int) -> Floats:
    from pymoo.algorithms.moo.nsga2 import NSGA2

    return _pymoo_run(NSGA2(pop_size=SIZE, **_pymoo_operators()), _pymoo_problem(problem), seed, generations)


def pymoo_nsga3(problem: Problem, seed: int, generations: int) -> Floats:
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.util.ref_dirs import get_reference_directions

    directions = get_reference_directions("das-dennis", 3, n_partitions=12)
    algorithm = NSGA3(pop_size=SIZE, ref_dirs=directions, **_pymoo_operators())
    return _pymoo_run(algorithm, _pymoo_problem(problem), seed, generations)


def pymoo_sms(problem: Problem, seed: int, generations: int) -> Floats:
    """One generation is as many offspring as parents, as in the others."""
    from pymoo.algorithms.moo.sms import SMSEMOA

    return _pymoo_run(SMSEMOA(pop_size=SIZE, **_pymoo_operators()), _pymoo_problem(problem), seed, generations)


def pymoo_repaired(evaluate: Evaluate, upper: Floats, repair: Repair, seed: int, generations: int) -> Floats:
    """NSGA-II of three objectives, whose every offspring goes through `repair`."""
    import pymoo.core.repair
    from pymoo.algorithms.moo.nsga2 import NSGA2

    class Repaired(pymoo.core.repair.Repair):  # type: ignore[misc]
        def _do(self, problem: object, X: Floats, **_: object) -> Floats:  # noqa: N803
            return repair(X)

    problem = _pymoo_box(evaluate, np.zeros(len(upper)), upper, 3)
    algorithm = NSGA2(pop_size=SIZE, repair=Repaired(), **_pymoo_operators())
    return _pymoo_run(algorithm, problem, seed, generations)


def _pymoo_operators() -> dict[str, Any]:
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM

    return {"crossover": SBX(prob=0.9, eta=15), "mutation": PM(prob=1.0, eta=20)}


def _pymoo_problem(problem: Problem) -> Any:
    return _pymoo_box(problem.evaluate, problem.lower, problem.upper, problem.objectives)


def _pymoo_box(evaluate: Evaluate, lower: Floats, upper: Floats, objectives: int) -> Any:
    from pymoo.core.problem import Problem as Base

    class Box(Base):  # type: ignore[misc]
        def _evaluate(self, x: Floats, out: dict[str, Floats], *_: object, **__: object) -> None:
            out["F"] = evaluate(x)

    return Box(n_var=len(lower), n_obj=objectives, xl=lower, xu=upper)


def _pymoo_run(algorithm: Any, problem: Any, seed: int, generations: int) -> Floats:
    from pymoo.optimize import minimize

    # Its first generation is the first population.
    result = minimize(problem, algorithm, ("n_gen", generations + 1), seed=seed, verbose=False)
    return np.asarray(result.algorithm.pop.get("F"))


def deap_nsga2(problem: Problem, seed: int, generations: int) -> Floats:
    """The published example, except that it evaluates a whole population at once, which is faster."""
    from deap import base, tools

    random.seed(seed)
    weights = {"weights": (-1.0,) * problem.objectives}
    fitness = type("Fitness", (base.Fitness,), weights)
    individual = type("Individual", (list,), {})
    box = {"low": problem.lower.tolist(), "up": problem.upper.tolist()}

    def judged(genes: list[Any]) -> list[Any]:
        for one, objectives in zip(genes, problem.evaluate(np.array(genes)).tolist(), strict=True):
            one.fitness = fitness(objectives)
        return genes

    def drawn() -> Any:
        return individual(random.uniform(*ends) for ends in zip(box["low"], box["up"], strict=True))  # noqa: S311

    population = tools.selNSGA2(judged([drawn() for _ in range(SIZE)]), SIZE)
    for _ in range(generations):
        children = [individual(parent) for parent in tools.selTournamentDCD(population, SIZE)]
        for first, second in zip(children[::2], children[1::2], strict=True):
            if random.random() <= 0.9:  # noqa: S311
                tools.cxSimulatedBinaryBounded(first, second, eta=15, **box)
            for child in (first, second):
                tools.mutPolynomialBounded(child, eta=20, indpb=1 / problem.variables, **box)
        population = tools.selNSGA2(population + judged(children), SIZE)
    return np.array([one.fitness.values for one in population])


def pygmo_rank(points: Floats) -> NDArray[np.intp]:
    import pygmo

    return np.asarray(pygmo.fast_non_dominated_sorting(points)[3], dtype=np.intp)


def moocore_rank(points: Floats) -> NDArray[np.intp]:
    import moocore

    return np.asarray(moocore.pareto_rank(points), dtype=np.intp)


def pymoo_rank(points: Floats) -> NDArray[np.intp]:
    """Its own compiled efficient sort, not the call into moocore that its algorithms make."""
    from pymoo.functions import load_function

    fronts = load_function("efficient_non_dominated_sort")(points)
    rank = np.empty(len(points), dtype=np.intp)
    for number, front in enumerate(fronts):
        rank[front] = number
    return rank


NSGA2S: Mapping[str, Run] = {"pygmo": pygmo_nsga2, "pymoo": pymoo_nsga2, "deap": deap_nsga2}
RANKS: Mapping[str, Rank] = {"moocore": moocore_rank, "pygmo": pygmo_rank, "pymoo": pymoo_rank}


def record(path: Path, libraries: tuple[str, ...] = ("pygmo", "pymoo")) -> None:
    """Write the hypervolume and the IGD of every problem, library and seed."""
    import moocore

    runs: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, problem in PROBLEMS.items():
        front = problem.front(FRONT)
        runs[name] = {}
        for library in libraries:
            found = [NSGA2S[library](problem, seed, GENERATIONS) for seed in SEEDS]
            runs[name][library] = {
                "hypervolume": [_short(moocore.hypervolume(one, ref=problem.reference)) for one in found],
                "igd": [_short(moocore.igd(one, ref=front)) for one in found],
            }
            print(name, library, *(f"{key} {np.median(of):.5g}" for key, of in runs[name][library].items()), flush=True)
    settings = {"size": SIZE, "generations": GENERATIONS, "seeds": len(SEEDS), "front": FRONT}
    versions = [version(library) for library in (*libraries, "moocore", "numpy")]
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"versions": versions, "settings": settings, "runs": runs}, indent=1)
    path.write_text(_one_line_lists(text) + "\n", encoding="utf-8")


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _one_line_lists(text: str) -> str:
    """An array of numbers on a line of its own, so that a difference can be read."""
    return text.replace(",\n     ", ", ").replace("[\n     ", "[").replace("\n    ]", "]")


def main() -> None:
    """Record the libraries' distributions, which the tests compare with."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="run them and write the file")
    parser.add_argument("--output", type=Path, default=RECORD, help="the file (default: %(default)s)")
    given = parser.parse_args()
    if not given.record:
        parser.error("nothing to do without --record")
    record(given.output)


if __name__ == "__main__":
    main()
