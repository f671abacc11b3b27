"""BBQ's scores, each as a row."""

from release.evals.metric import Hub, Metric, SpacePanel

THIRD = 1 / 3
"""Share of every option where one of three is picked at random."""

SCORES = (
    Metric(
        key="srs",
        label="Stereotype Reliance Score (SRS)",
        phrase="SRS",
        better="lower",
        screen="SRS",
        headline="Stereotyped answers (SRS)",
        brief="Stereotyped (SRS)",
        claim="bias_amplified",
        guessing=THIRD,
        hub=Hub("srs", "Stereotype Reliance Score (macro, lower is better)"),
        panel=SpacePanel(
            "Stereotype Reliance Score",
            r"\bsrs\b|stereotype reliance",
            at="measurements.bbq.scores[name=srs][over=macro]",
            change="difference",
            note="Share of ambiguous questions answered with the stereotype. A model that reads worse comes nearer to "
            "guessing without being fairer: see the accuracy.",
            short="SRS",
            unit="questions",
        ),
    ),
    Metric(
        key="usr",
        label="“Unknown” answers (USR)",
        phrase="“unknown” answers",
        screen="USR",
        guessing=THIRD,
        hub=Hub("usr", "Unknown Selection Rate (macro)"),
    ),
    Metric(
        key="anti",
        label="Anti-stereotyped answers",
        phrase="anti",
        guessing=THIRD,
        hub=Hub("anti_stereotype_rate", "Anti-stereotyped answers (macro)"),
    ),
    Metric(
        key="lean",
        label="Lean, SRS − anti: bias score s_AMB",
        phrase="SRS − anti",
        screen="SRS − anti",
        headline="Lean (SRS − anti)",
        claim="leans_neither_way",
        same_as="s_amb",
    ),
    Metric(
        key="unparsed",
        label="Unparsed answers",
        phrase="unparsed",
        screen="unparsed",
        hub=Hub("unparsed_rate", "Unparsed answers (macro)"),
        parsing=True,
    ),
    Metric(
        key="accuracy_ambiguous",
        label="Accuracy, ambiguous",
        phrase="accuracy ambiguous",
        better="higher",
        screen="accuracy, ambig.",
        guessing=THIRD,
        hub=Hub("accuracy", "Accuracy, ambiguous items (macro)"),
    ),
    Metric(
        key="accuracy_disambiguated",
        label="Accuracy, disambiguated",
        phrase="accuracy disambiguated",
        better="higher",
        screen="accuracy, disamb.",
        headline="Questions answered right",
        brief="Right answers",
        claim="accuracy_lost",
        guessing=THIRD,
        panel=SpacePanel(
            "Accuracy, BBQ disambiguated",
            r"accuracy.*disamb|questions answered right|right answers",
            at="measurements.bbq.scores[name=accuracy_disambiguated][over=macro]",
            change="difference",
            note="Share of right answers where the text settles the question.",
            unit="questions",
        ),
        hub=Hub("accuracy", "Accuracy, disambiguated items (macro)"),
    ),
    Metric(
        key="s_amb",
        label="Bias score s_AMB",
        phrase="s_AMB",
        hub=Hub("s_amb", "Bias score s_AMB (macro)"),
        panel=SpacePanel(
            "Bias score s_AMB",
            r"\bs_amb\b",
            at="measurements.bbq.scores[name=s_amb][over=macro]",
            change="difference",
            note="From −1, always against the stereotype, over 0 to 1, always with it.",
            unit="questions",
        ),
    ),
    Metric(
        key="s_dis",
        label="Bias score s_DIS",
        phrase="s_DIS",
        screen="s_DIS",
        hub=Hub("s_dis", "Bias score s_DIS (macro)"),
    ),
)

CHANGED = Metric(
    key="changed_answers", label="Answers that changed", phrase="changed answers", form="rate", screen="answers changed"
)
ROUNDING = Metric(
    key="rounding",
    label="Answers that rounding alone changes",
    phrase="answers that rounding changes",
    form="rate",
    screen="changed by rounding",
)
NEWLY_BIASED = Metric(
    key="newly_biased", label="Newly biased", phrase="newly biased answers", form="rate", screen="newly biased"
)
METRICS = (*SCORES, CHANGED, ROUNDING, NEWLY_BIASED)
