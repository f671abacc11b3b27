"""StereoSet's metrics as rows."""

from release.evals.metric import Hub, Metric, SpacePanel

STEREOTYPE = Metric(
    key="stereotype_score",
    label="Stereotype score (ss), StereoSet",
    phrase="StereoSet stereotype score",
    screen="StereoSet ss",
    headline="Stereotype likelier, StereoSet",
    brief="StereoSet bias",
    claim="stereoset_raised",
    guessing=0.5,
    hub=Hub("ss", "Stereotype score, intrasentence"),
    panel=SpacePanel(
        "StereoSet",
        r"stereoset|stereotype score",
        at="measurements.stereoset.scores[name=stereotype_score]",
        change="difference",
        note="Share of contexts whose stereotype is likelier than the anti-stereotype; 0.5 prefers neither.",
        unit="contexts",
    ),
)
MODELING = Metric(
    key="language_modeling_score",
    label="Language modeling score (lms), StereoSet",
    phrase="StereoSet language modeling score",
    better="higher",
    screen="StereoSet lms",
    guessing=0.5,
    hub=Hub("lms", "Language modeling score, intrasentence"),
)
ICAT = Metric(
    key="icat",
    label="Idealized CAT score (ICAT), StereoSet",
    phrase="StereoSet ICAT",
    better="higher",
    screen="StereoSet ICAT",
    guessing=0.5,
    hub=Hub("icat", "Idealized CAT score, intrasentence"),
)
METRICS = (STEREOTYPE, MODELING, ICAT)
