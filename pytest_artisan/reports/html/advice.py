"""What to do about a reason that is not GO, in a sentence."""

from __future__ import annotations

from pytest_artisan.verdict.judge import Code

ADVICE = {
    Code.OVER_LIMIT: "Mend what was measured, then run the gate again; the limit is the policy's.",
    Code.NO_LIMIT: "Give the measurement a finite limit.",
    Code.NO_DATA: "See that it can be measured here, then run the gate again.",
    Code.INTERVAL: "Measure more: a larger sample narrows the interval.",
    Code.DOUBT: "Measure again where the instrument is not at fault, such as on a machine that is less busy.",
    Code.REGRESSION: "Find what made it worse, or record a new baseline that somebody answers for.",
    Code.NO_BASELINE: "Record a baseline of a release that was GO: artisan baseline save VERDICT.",
    Code.UNIT: "Measure one thing in one unit.",
    Code.FINDING: "Mend it where it stands, or waive it where the policy has waivers.",
    Code.FAILED: "Run this test alone and mend what it shows.",
    Code.ERROR: "Mend the fixture or the set-up that the test needs.",
    Code.CRASHED: "Run this test alone: it ended its whole process.",
    Code.FLAKY: "Find what it depends on besides the code: a pass at the second try shows nothing.",
    Code.SKIPPED: "Let it run here, or declare the skip in the policy.",
    Code.XFAILED: "Mend it, or declare the expected failure in the policy.",
    Code.XPASSED: "Take its xfail marker away, or declare it in the policy.",
    Code.DESELECTED: "Run without what left it out, or declare it in the policy.",
    Code.NOT_RUN: "Find why the session ended before it, then run everything again.",
    Code.NO_ITEMS: "Give the gate something to judge, or say in the policy that it is not required.",
    Code.TOO_FEW: "Find where the missing tests went, or lower the policy's min_items.",
    Code.NOTHING_PASSED: "Let at least one item of the gate run and pass.",
    Code.DUPLICATE: "Give each item an id of its own.",
    Code.UNPLANNED: "Find what made items after the plan was fixed.",
    Code.UNUSED: "Take the declaration out of the policy, if no platform needs it.",
    Code.PARTIAL: "Run every gate.",
    Code.SESSION: "Set right what befell the session, then run it again.",
}
