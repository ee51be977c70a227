"""Options and feedback as the service offers them; for one thread at a time."""

from __future__ import annotations

from pytest_artisan.ensemble.briefs import WishBrief
from pytest_artisan.fragrance.apprentice import GENETIC
from pytest_artisan.fragrance.evolution import NotPossible
from pytest_artisan.fragrance.experiments import Option
from pytest_artisan.fragrance.ingredients import UnknownMaterial
from pytest_artisan.fragrance.refinement import (
    AlreadyAnswered,
    NotOffered,
    Refinement,
    RefinementError,
    UnknownExperiment,
)
from pytest_artisan.service.contract import (
    FeedbackRequest,
    JudgedBy,
    Learnt,
    OfferedOption,
    Options,
    OptionsRequest,
    Update,
)
from pytest_artisan.service.creation import Creation
from pytest_artisan.service.errors import ServiceError
from pytest_artisan.service.metrics import Metrics
from pytest_artisan.service.store import DatabaseStore
from pytest_artisan.service.switches import Switches


class Refining:
    """A `Refinement` whose errors are answers, and whose updates are told to Prometheus."""

    def __init__(self, store: DatabaseStore, creation: Creation, metrics: Metrics) -> None:
        self._refinement, self._creation, self._metrics = Refinement(store), creation, metrics

    def options(self, request: OptionsRequest, switches: Switches) -> Options:
        """Raises ServiceError: 404 for an unknown DNA, 422 where its limits leave no room for so many options."""
        dna = self._creation.find(request.dna)
        if dna is None:
            raise ServiceError(404, f"there is no DNA {request.dna!r}", "body.dna")
        brief, _ = self._creation.brief_of(dna.brief)
        composition, maker = {part.cas: part.per_cent for part in dna.composition}, switches.maker(request.algorithm)
        try:
            experiment = self._refinement.options(composition, brief, maker, request.count, apart=switches.apart)
        except (RefinementError, NotPossible, UnknownMaterial) as error:
            raise ServiceError(422, str(error), "body.dna", "not_possible") from None
        return Options(
            experiment=experiment.id,
            dna=dna.id,
            algorithm=maker,
            options=tuple(self._offered(option, dna.brief) for option in experiment.options),
        )

    def _offered(self, option: Option, wish: WishBrief) -> OfferedOption:
        objectives = JudgedBy(**option.objectives)
        return OfferedOption(
            id=option.id,
            composition=self._creation.parts(option.composition),
            objectives=objectives,
            points=option.points,
            remarks=tuple(self._creation.remarks_on(option.composition, objectives, wish)),
        )

    def feedback(self, request: FeedbackRequest, switches: Switches) -> Learnt:
        """Raises ServiceError: 404 for an unknown experiment, 422 for what it did not offer, 409 for a second one."""
        maker, said = switches.maker(request.algorithm), (request.chosen, request.rating, request.notes)
        update = None
        try:
            if maker == GENETIC:
                self._refinement.keep(request.experiment, *said)
            else:
                update = self._refinement.feedback(request.experiment, *said, maker)
        except UnknownExperiment as error:
            raise ServiceError(404, str(error), "body.experiment") from None
        except NotOffered as error:
            raise ServiceError(422, str(error), "body.chosen") from None
        except AlreadyAnswered as error:
            raise ServiceError(409, str(error), "body.experiment") from None
        self._metrics.rating.observe(request.rating)
        self._metrics.cohorts.rated(switches.cohorts, request.rating)
        if update is None:
            return Learnt(experiment=request.experiment, algorithm=maker, update=None)
        self._metrics.updates.inc()
        self._metrics.episode_return.labels(maker).set(update.episode_return)
        self._metrics.kl.labels(maker).set(update.kl)
        told = Update(**{name: getattr(update, name) for name in Update.model_fields})
        return Learnt(experiment=request.experiment, algorithm=maker, update=told)
