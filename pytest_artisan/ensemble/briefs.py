"""The brief that models write: one schema, versioned, and checked again wherever it comes from."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NoReturn, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

SCHEMA_VERSION: Final = 1

Language = Literal["ko", "en"]
Mood = Literal["calm", "fresh", "romantic", "sensual", "cheerful", "elegant", "cosy", "mysterious"]
Season = Literal["any", "spring", "summer", "autumn", "winter"]
BudgetTier = Literal["economy", "standard", "premium", "luxury"]
TargetProfile = Literal["anyone", "women", "men", "teens"]
# What the perfume goes into; `service.creation` knows the IFRA category and the dosage of each.
ProductCategory = Literal[
    "perfume", "cologne", "body_lotion", "hand_cream", "deodorant", "shower_gel", "shampoo", "candle"
]
# The odour families of the packaged materials.
Family = Literal[
    "aldehydic", "amber", "balsamic", "citrus", "earthy", "fatty", "floral", "fruity", "gourmand", "green",
    "herbal", "leathery", "marine", "minty", "musk", "powdery", "smoky", "spicy", "tobacco", "woody",
]  # fmt: skip
FAMILIES: tuple[Family, ...] = get_args(Family)

FEWEST_HINTS, MOST_HINTS = 3, 8
# Letters of any language, digits, and what stands between words: no markup, no address, no line break.
_WORDS = r"[A-Za-z0-9À-ɏ가-힣][A-Za-z0-9À-ɏ가-힣 '&,.()%-]*"
Hint = Annotated[str, Field(min_length=2, max_length=48, pattern=f"^{_WORDS}$")]
Ingredient = Annotated[str, Field(min_length=2, max_length=64, pattern=f"^{_WORDS}$")]
Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_WEIGHTS = {
    "type": "object",
    "properties": {family: {"type": "number", "minimum": 0, "maximum": 1} for family in FAMILIES},
    "additionalProperties": False,
}


class _Kept(dict[Family, float]):
    """Weights that stay as they are: one brief is the answer to many, and whoever changed it would for all."""

    def _refuse(self, *arguments: object, **named: object) -> NoReturn:
        raise TypeError("a brief does not change")

    def __reduce__(self) -> tuple[type[_Kept], tuple[dict[Family, float]]]:
        return _Kept, (dict(self),)  # a copy is made at once, and not key by key

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse


class _Schema(BaseModel):
    """What comes from a model is taken as it stands or not at all: nothing is converted, nothing unknown is kept."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Hints(_Schema):
    """What the creative member adds: associations, each once."""

    hints: Annotated[tuple[Hint, ...], Field(min_length=FEWEST_HINTS, max_length=MOST_HINTS)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({hint.casefold() for hint in self.hints}) < len(self.hints):
            raise ValueError("a hint stands twice")
        return self


class WishBrief(_Schema):
    """A wish as the service understands it.

    `notes_preference`: how much of each odour family is wanted, at least one above 0; `allergen_ceiling`: per cent of
    the finished product that declarable allergens may make up; `hints`: empty where no creative member was asked.
    """

    language: Language
    mood: Mood
    season: Season
    notes_preference: Annotated[dict[Family, Weight], AfterValidator(_Kept), WithJsonSchema(_WEIGHTS)]
    forbidden_ingredients: Annotated[tuple[Ingredient, ...], Field(max_length=40)] = ()
    budget_tier: BudgetTier = "standard"
    target_profile: TargetProfile = "anyone"
    product_category: ProductCategory = "perfume"
    allergen_ceiling: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 100.0
    hints: Annotated[tuple[Hint, ...], Field(max_length=MOST_HINTS)] = ()
    schema_version: Literal[1] = SCHEMA_VERSION

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        if not any(self.notes_preference.values()):
            raise ValueError("notes_preference wants no odour family")
        return self


# What a wish becomes when nobody can read it: middling in everything, and marked as such by whoever hands it out.
DEFAULT_BRIEF = WishBrief(
    language="en", mood="calm", season="any", notes_preference={"woody": 0.6, "citrus": 0.5, "floral": 0.4}
)


def schema_of(kind: type[BaseModel], *left_out: str) -> dict[str, Any]:
    """The JSON Schema that a member is asked to keep, without what it is not asked for."""
    schema = kind.model_json_schema()
    for name in left_out:
        del schema["properties"][name]
    return schema


BRIEF_SCHEMA = schema_of(WishBrief, "hints", "schema_version")
HINTS_SCHEMA = schema_of(Hints)
