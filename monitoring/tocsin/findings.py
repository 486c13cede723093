"""The findings of ``tocsin check``: stable ids, why each matters and what to do.  The documentation is made from this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding.  Ids never change their meaning; a rule that goes leaves its id unused."""

    id: str
    title: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: ``where`` is a file, with the logical id or panel behind ``#``; ``detail`` may be a diff."""

    id: str
    where: str
    message: str
    detail: str = ""


_RULES = (
    # Drift
    Rule("T001", "A generated file differs from the declarations",
         "What was reviewed is what is judged and shipped. A file edited by hand, or not rebuilt after a declaration changed, breaks that.",
         "Put the change into the declaration and run `tocsin build`."),
    Rule("T002", "A generated file is missing",
         "Deploy and simulate read only committed files; what is missing is neither judged nor shipped.",
         "Run `tocsin build` and commit the result."),
    Rule("T003", "A generated file belongs to no declared system",
         "Its alarms would go on being deployed though nobody declares them any more.",
         "Run `tocsin build`, which removes it, or declare the system again."),
    # Quotas of CloudFormation
    Rule("T010", "More than 500 resources in one template",
         "CloudFormation refuses a template with more than 500 resources.",
         "Split the system in two, each with its own name and owner."),
    Rule("T011", "A template over 1 MB",
         "CloudFormation refuses a template over 1,000,000 bytes, even from S3.",
         "Split the system in two."),
    Rule("T012", "More than 200 parameters",
         "CloudFormation refuses a template with more than 200 parameters; Tocsin needs one for each watched name.",
         "Split the system in two."),
    # Limits of CloudWatch
    Rule("T013", "A composite alarm with more than 100 children",
         "PutCompositeAlarm refuses a rule over more than 100 alarms.",
         "Join the children in groups and let a composite alarm watch the groups."),
    Rule("T014", "An alarm rule that is too long",
         "PutCompositeAlarm refuses a rule of more than 10,240 characters or 500 elements.",
         "Join the children in groups, or use shorter names."),
    Rule("T015", "More than five actions for one state",
         "PutMetricAlarm and PutCompositeAlarm take five actions for each state.",
         "Let one topic fan out."),
    Rule("T016", "An alarm name that CloudWatch refuses",
         "Names have 1 to 255 characters and no control characters.",
         "Shorten the name of the system, the resource or the SLO."),
    Rule("T017", "An alarm description over 1,024 characters",
         "PutMetricAlarm refuses it; whoever is woken would not read it either.",
         "Shorten the because= of the SLO or override."),
    Rule("T018", "A dashboard that asks for more than 500 metrics",
         "CloudWatch serves 500 metrics a request; the rest of the dashboard stays empty, and each refresh is billed.",
         "Split the system in two."),
    Rule("T020", "Metric math beyond its limits",
         "An alarm takes at most 10 metrics and 10 expressions of at most 2,048 characters each.",
         "Compute parts of it in alarms of their own and join them in a composite alarm."),
    # Mistakes that template linters let pass
    Rule("T030", "More datapoints to alarm than evaluation periods",
         "M of N cannot be met when M is larger than N; CloudWatch refuses the alarm at deployment.",
         "Lower DatapointsToAlarm or raise EvaluationPeriods."),
    Rule("T031", "A window longer than CloudWatch looks back",
         "Period x EvaluationPeriods may be seven days at most, and one day while the period is under an hour.",
         "Use a longer period with fewer evaluation periods."),
    Rule("T032", "A period that CloudWatch does not know",
         "A period is 10, 20 or 30 seconds, or a multiple of 60.",
         "Use the nearest legal period."),
    Rule("T033", "Metric math that names no such id",
         "The expression can never be computed; the alarm is refused or stays in INSUFFICIENT_DATA.",
         "Correct the id, which begins with a lower-case letter."),
    Rule("T034", "Not exactly one query returns data",
         "An alarm compares one series; with none or several CloudWatch refuses it.",
         "Set ReturnData to true on the one query to compare and to false on all others."),
    Rule("T035", "A dimension that stands twice",
         "A metric has each dimension once; the alarm watches a metric that does not exist.",
         "Remove one of the two."),
    Rule("T036", "An alarm without a threshold",
         "Without Threshold, or ThresholdMetricId for an anomaly band, there is nothing to compare with.",
         "Give a threshold."),
    Rule("T037", "An alarm rule that CloudWatch cannot read",
         "The rule does not follow the grammar of composite alarms; the deployment fails.",
         "Write ALARM(\"name\"), OK(\"name\") or INSUFFICIENT_DATA(\"name\") joined by AND, OR and NOT, in parentheses."),
    Rule("T038", "Queries of one alarm with different periods",
         "All metrics of a metric-math alarm share one period.",
         "Use one alarm for each period and join them in a composite alarm."),
    Rule("T039", "A statistic that CloudWatch does not know, or two at once",
         "The alarm is refused at deployment.",
         "Use Average, Maximum, Minimum, SampleCount, Sum or an extended statistic such as p99; not both forms."),
    Rule("T040", "A CloudWatch dashboard whose body is not JSON",
         "The dashboard is refused at deployment.",
         "Correct the JSON."),
    Rule("T041", "Composite alarms that watch each other in a circle",
         "CloudWatch stops evaluating alarms in a circle.",
         "Break the circle."),
    Rule("T042", "A treatment of missing data that CloudWatch does not know",
         "The alarm is refused at deployment; the words are case-sensitive.",
         "Use missing, ignore, breaching or notBreaching."),
    # Alarms that can never fire, or say the wrong thing
    Rule("T050", "A metric name that nobody publishes",
         "It is close to the name of a real metric and is none itself: the alarm waits for data that never comes, costs money and covers nothing.",
         "Correct the name."),
    Rule("T051", "A set of dimensions that the metric is not published under",
         "CloudWatch matches dimension sets exactly. With one too few, too many or misspelt the alarm never sees a datapoint.",
         "Use one of the sets that the message names."),
    Rule("T052", "A metric that must be switched on first",
         "The metric is opt-in and this resource does not opt in, so the alarm never sees a datapoint.",
         "Switch the metric on in the watched template, or drop the alarm."),
    Rule("T053", "A sum of levels",
         "Sum adds up the samples of a gauge or duration: a queue of 10 messages seen five times is not 50 messages.",
         "Use Maximum, Average, Minimum or a percentile."),
    Rule("T054", "A statistic against the direction of the alarm",
         "Maximum with 'less than' fires only when even the best moment is bad; Minimum with 'greater than' likewise.",
         "Use Minimum for 'less than', Maximum or a percentile for 'greater than'."),
    Rule("T055", "A unit that is not the metric's",
         "An alarm with a unit sees only datapoints published in that unit.",
         "Leave Unit out, as AWS advises."),
    Rule("T056", "More datapoints than the source ever gives",
         "The resource runs too seldom to fill M datapoints of the window, and missing ones do not count as breaching: the alarm can never fire.",
         "Use one datapoint, or a longer period."),
    Rule("T057", "A threshold that cannot be crossed",
         "The resource's own limits keep the metric on the good side: a run cannot last longer than its timeout, a percentage not exceed 100.",
         "Choose a threshold inside the limits."),
    # What happens after an alarm
    Rule("T060", "An alarm kind without a runbook",
         "Somebody woken at three in the morning finds nothing under the link.",
         "Write runbooks/<kind>.md."),
    Rule("T061", "An alarm that tells nobody",
         "It has no action and no composite alarm reads it, so its state changes unseen.",
         "Give it an action, use it in a composite alarm, or remove it."),
    Rule("T062", "An encrypted topic that CloudWatch cannot publish to",
         "The key's policy does not let cloudwatch.amazonaws.com use it, so no notification is ever delivered.",
         "Allow kms:GenerateDataKey* and kms:Decrypt for cloudwatch.amazonaws.com in the key policy."),
    # Who is on call: deploy/oncall.toml
    Rule("T063", "An owner that does not belong to exactly one team",
         "Alarms of an owner without a team wake nobody; those of an owner with two are taken for the other team's.",
         "Name each owner of a declared system in the owners of one team."),
    Rule("T064", "Hours when nobody is on call, or more than meant",
         "A page that falls into a gap rings nowhere; one that wakes two rotations is taken by neither. Schedules are reckoned a year ahead, with both changes of the clocks.",
         "Let rotations follow on each other, or say in gaps_because or overlaps_because why it is meant."),
    Rule("T065", "An escalation that reaches nobody",
         "A page that the first person misses is lost at the step that tells nobody.",
         "Name a schedule, member or team of the file, in the order of the times."),
    Rule("T066", "A page that wakes nobody, or a way that leads nowhere",
         "Mail and chat ring nobody at night, and a way without an address delivers nothing.",
         "Send pages to the tool or the forwarder, and give each other way its address."),
    Rule("T067", "The way to the tool is not watched",
         "When the way itself fails, silence looks like health.",
         "Name a second way outside the tool, and a heartbeat that tolerates a late beat."),
    Rule("T068", "An environment on call that nobody has described",
         "Whoever listed it believes that its alarms page; under this name there is none that could be deployed.",
         "Name the environments as deploy/environments.toml does."),
    # Money and boards
    Rule("T070", "Over the budget",
         "All alarms together cost more a month than --budget allows.",
         "Drop alarms that nobody acts on, or raise the budget."),
    Rule("T080", "A dashboard against the rules",
         "The panel would be empty, unreadable or lead nowhere.",
         "Run `tocsin build`; if the finding stays, the message says which rule is broken."),
)  # fmt: skip

#: Rule id → rule, in order.
FINDINGS = {rule.id: rule for rule in _RULES}
