"""Every task of the mixture: where it comes from, under which licence, what it trains, and how it is put in words.

Three origins. `judgments`: files of judgments by people or by execution, in the schema of this project's judgment
files (task, kind, context, responses, label, criterion, split). `labels`: programs that were run, see
`rerank.training.labels`. `hub`: sets that only the Hugging Face hub has, read through `datasets`; see
`rerank.training.hub`.

Answers are single letters, digits, Yes or No, so that one token decides for any tokenizer. Pointwise tasks are put on
one scale from 1 to 5; a class or a step has its answer in `answers`; open-ended tasks have none and are answered in
words. What may never be a task here is in `HELD_OUT`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rerank import prompts
from rerank.prompts import Task

Kind = Literal["pairwise", "pointwise", "classification", "open_ended"]
TaskOrigin = Literal["judgments", "labels", "hub"]
Capability = Literal[
    "code", "math", "factuality", "instruction_following", "helpfulness", "safety", "summary", "translation", "other"
]


@dataclass(frozen=True, slots=True)
class MixtureTask:
    """One task. `prompt.answers` are the legal answers; `classes` turns the source's labels into them."""

    name: str
    kind: Kind
    capability: Capability
    location: str  # public: a GitHub repository, or hub:<owner>/<name>
    licence: str
    judged: str  # what a response is called in the prompt
    prompt: Task
    classes: Mapping[str, str] = field(default_factory=dict)
    shows_criterion: bool = False  # the rows of the task ask different questions
    origin: TaskOrigin = "judgments"


# Sets that are measured on. The names of the judgment files, and what hub sets of the same material are called.
HELD_OUT = frozenset(
    [
        "codejudge_apps",
        "codejudge_humaneval",
        "codeprefbench_correctness",
        "codeprefbench_efficiency",
        "codeprefbench_human_preference",
        "codeprefbench_security",
        "humanevalpack_cpp",
        "humanevalpack_go",
        "humanevalpack_java",
        "humanevalpack_js",
        "humanevalpack_python",
        "humanevalpack_rust",
        "realhumaneval_accept_humaneval",
        "reflexion_mbpp_correct",
        "reflexion_mbpp_pair",
        "rm_bench_code",
        "aggrefact_consistent",
        "factcheck_claim",
        "factcheck_stance",
        "hhh_honest",
        "qags_cnndm",
        "qags_xsum",
        "wice_claim",
        "faireval_human",
        "llmbar_case_base9",
        "llmbar_case_constraint",
        "llmbar_case_negation",
        "llmbar_gptinst",
        "llmbar_gptout",
        "llmbar_manual",
        "llmbar_natural",
        "llmbar_neighbor",
        "llmeval2_human",
        "mt_bench_human",
        "autoj_pairwise",
        "hhh_helpful",
        "rm_bench_chat",
        "usr_topical_chat",
        "hhh_harmless",
        "rm_bench_safety_refuse",
        "rm_bench_safety_response",
        "xstest_refusal",
        "summeval",
        "cobbler_bandwagon",
        "cobbler_distraction",
        "cobbler_human_rank",
        "hhh_other",
        "judgebench_claude",
        "judgebench_gpt4o",
        "rankgen_human",
        "hub:allenai/reward-bench",
        "hub:allenai/reward-bench-2",
        "hub:allenai/preference-test-sets",
        "hub:lytang/LLM-AggreFact",
        "hub:openai/openai_humaneval",
        "hub:openai_humaneval",
        "hub:bigcode/humanevalpack",
        "hub:evalplus/humanevalplus",
        "hub:evalplus/mbppplus",
        "hub:lmsys/mt_bench_human_judgments",
        "hub:HuggingFaceH4/hhh_alignment",
        "hub:THU-KEG/RM-Bench",
        "hub:ScalerLab/JudgeBench",
        "hub:google-research-datasets/mbpp",
        "hub:mbpp",
    ]
)

SCALE = ("1", "2", "3", "4", "5")
STEPS = tuple("123456789")
_YES_NO = ("Yes", "No")
_AB = ("A", "B")


def _pair(
    name: str,
    capability: Capability,
    location: str,
    licence: str,
    judged: str,
    title: str,
    description: str,
    *,
    shows_criterion: bool = False,
    origin: TaskOrigin = "judgments",
) -> MixtureTask:
    task = Task(title, description, f"answer: A or B, the {judged} chosen.", _AB)
    return MixtureTask(
        name,
        "pairwise",
        capability,
        location,
        licence,
        judged,
        task,
        {},
        shows_criterion=shows_criterion,
        origin=origin,
    )


def _grade(
    name: str,
    capability: Capability,
    location: str,
    licence: str,
    judged: str,
    title: str,
    description: str,
    *,
    worst: str,
    best: str,
    shows_criterion: bool = False,
    origin: TaskOrigin = "judgments",
) -> MixtureTask:
    task = Task(title, description, f"answer: a whole number from 1 ({worst}) to 5 ({best}).", SCALE)
    return MixtureTask(
        name,
        "pointwise",
        capability,
        location,
        licence,
        judged,
        task,
        {},
        shows_criterion=shows_criterion,
        origin=origin,
    )


def _yes_no(
    name: str,
    capability: Capability,
    location: str,
    licence: str,
    judged: str,
    title: str,
    description: str,
    *,
    yes: str,
    no: str,
    shows_criterion: bool = False,
) -> MixtureTask:
    """`yes` and `no` are the source's labels, and what the answers are said to mean."""
    task = Task(title, description, f"answer: Yes ({yes}) or No ({no}).", _YES_NO)
    classes = {yes: "Yes", no: "No"}
    return MixtureTask(
        name, "classification", capability, location, licence, judged, task, classes, shows_criterion=shows_criterion
    )


def _classes(
    name: str,
    capability: Capability,
    location: str,
    licence: str,
    judged: str,
    title: str,
    description: str,
    classes: Mapping[str, str],
) -> MixtureTask:
    """`classes`: the source's label to (its letter, what it means)."""
    letters = {label: "ABCDEFGH"[index] for index, label in enumerate(classes)}
    meanings = "; ".join(f"{letters[label]}: {meaning}" for label, meaning in classes.items())
    task = Task(title, description, f"answer: one letter. {meanings}.", tuple(letters.values()))
    return MixtureTask(name, "classification", capability, location, licence, judged, task, letters)


def _step(
    name: str, capability: Capability, location: str, licence: str, title: str, description: str, *, none: bool
) -> MixtureTask:
    """Steps after the ninth have no single digit: rows with one are left out."""
    answers = ("0", *STEPS) if none else STEPS
    ending = ", 0 if there is none" if none else ""
    task = Task(title, description, f"answer: the number of the step{ending}.", answers)
    classes = {step: step for step in STEPS} | ({"none": "0"} if none else {})
    return MixtureTask(name, "classification", capability, location, licence, "steps", task, classes)


def _words(
    name: str,
    capability: Capability,
    location: str,
    licence: str,
    judged: str,
    title: str,
    description: str,
    output: str,
    *,
    shows_criterion: bool = False,
) -> MixtureTask:
    task = Task(title, description, f"answer: {output}", ())
    return MixtureTask(
        name, "open_ended", capability, location, licence, judged, task, {}, shows_criterion=shows_criterion
    )


_CODEJUDGE = ("VichyTong/CodeJudge", "Apache-2.0")
_GRADES = ("JetBrains-Research/codegen-metrics", "Apache-2.0")
_CONDEFECTS = ("appmlk/ConDefects", "MIT")
_CRUXEVAL = ("facebookresearch/cruxeval", "MIT")
_QUIXBUGS = ("jkoppel/QuixBugs", "MIT")
_SVEN = ("eth-sri/sven", "MIT")
_AUTOMETRICS = ("SALT-NLP/autometrics", "MIT")
_MISTAKE = ("WHGTyen/BIG-Bench-Mistake", "Apache-2.0")
_GSM8K = ("openai/grade-school-math", "MIT")
_MR_GSM8K = ("dvlab-research/MR-GSM8K", "MIT")
_BEGIN = ("google/BEGIN-dataset", "CC-BY-4.0")
_HALUEVAL = ("RUCAIBox/HaluEval", "MIT")
_SUMMEDITS = ("salesforce/factualNLG", "Apache-2.0")
_TRUTHFULQA = ("koppula/TruthfulQA", "Apache-2.0")
_TULU = ("allenai/open-instruct", "Apache-2.0")
_HH = ("anthropics/hh-rlhf", "MIT")
_QA_FEEDBACK = ("allenai/FineGrainedRLHF", "Apache-2.0")
_MODERATION = ("openai/moderation-api-release", "MIT")
_BARTSCORE = ("neulab/BARTScore", "Apache-2.0")
_MLQE = ("sheffieldnlp/mlqe-pe", "CC0-1.0")
_ARGUMENTS = ("UKPLab/acl2016-convincing-arguments", "CC-BY-4.0")

_JUDGMENTS = (
    # Code
    _yes_no(
        "bigcodebench_correct",
        "code",
        *_CODEJUDGE,
        "program",
        "Does the program pass its tests?",
        "A model wrote this program for a task that calls on Python libraries. Read the task line by line and decide "
        "whether the program returns what it asks for, raises what it says should be raised, and uses the libraries "
        "as they really behave.",
        yes="correct",
        no="incorrect",
    ),
    _pair(
        "bigcodebench_pair",
        "code",
        *_CODEJUDGE,
        "program",
        "Which library program passes its tests?",
        "Two programs for one task that calls on Python libraries. One passes the task's hidden tests, the other "
        "fails at least one. Choose the one that passes; length, comments and style do not count.",
    ),
    _pair(
        "bugsinpy_fix",
        "code",
        "soarsmu/BugsInPy",
        "as the patched projects: MIT, BSD, Apache-2.0, PSF, Unlicense",
        "fragment",
        "Which version has the bug repaired?",
        "Two versions of some lines of an open-source Python project: before and after its developers mended a bug "
        "that a test had found. Choose the repaired version.",
    ),
    _grade(
        "conala_grade",
        "code",
        *_GRADES,
        "snippet",
        "How useful is this snippet?",
        "A programmer says in one sentence what they want to do, and gets this Python snippet. Grade how far it helps: "
        "wrong or unrelated code is of no use, and code that does it as it stands deserves the top grade.",
        worst="of no use",
        best="solves it as it stands",
    ),
    _pair(
        "conala_preference",
        "code",
        *_GRADES,
        "snippet",
        "Which snippet helps the programmer more?",
        "A programmer says in one sentence what they want to do, and gets two Python snippets. Choose the one that "
        "brings them closer to it: does it do that, and how much would have to be changed?",
    ),
    _pair(
        "condefects_java_fix",
        "code",
        *_CONDEFECTS,
        "program",
        "Which Java submission was accepted?",
        "Two submissions of one contestant to a programming contest, in Java; the statement is not shown. They differ "
        "where a mistake was mended: a bound, a condition, a type, a formula. Choose the accepted one.",
    ),
    _pair(
        "condefects_python_fix",
        "code",
        *_CONDEFECTS,
        "program",
        "Which Python submission was accepted?",
        "Two submissions of one contestant to a programming contest, in Python; the statement is not shown. They "
        "differ where a mistake was mended: a bound, a condition, a start value, a formula. Choose the accepted one.",
    ),
    _words(
        "condefects_python_locate",
        "code",
        *_CONDEFECTS,
        "program",
        "Find the faulty line",
        "This contest submission in Python fails because of one line. Find the line and say what it should be.",
        "one sentence with the line's number, the line as it is and the line as it should be.",
    ),
    _yes_no(
        "cruxeval_input_correct",
        "code",
        *_CRUXEVAL,
        "call",
        "Does this call return the wanted value?",
        "A Python function, a value that it should return, and a call that is claimed to return it. Work the function "
        "through for the call's arguments and compare the result with the wanted value, type and all.",
        yes="correct",
        no="incorrect",
    ),
    _yes_no(
        "cruxeval_output_correct",
        "code",
        *_CRUXEVAL,
        "value",
        "Is this what the call returns?",
        "A Python function, a call of it, and a value that is claimed to come back. Work the function through and say "
        "whether exactly this value does.",
        yes="correct",
        no="incorrect",
    ),
    _pair(
        "cruxeval_output_pair",
        "code",
        *_CRUXEVAL,
        "value",
        "Which value does the call return?",
        "A Python function, a call of it, and two values. One of them is what the call returns. Work the function "
        "through and choose it.",
    ),
    _grade(
        "hearthstone_grade",
        "code",
        *_GRADES,
        "class",
        "Does the class implement the same card?",
        "A Python class that implements a card of a game, and a class that a model wrote for the same card. Grade how "
        "well the second does the first one's job: name, cost, class, rarity and effects.",
        worst="of no use",
        best="as good as the reference",
    ),
    _pair(
        "quixbugs_java_fix",
        "code",
        *_QUIXBUGS,
        "program",
        "Which Java version is free of the bug?",
        "Two versions of a classic algorithm in Java that differ in one line. One line has a bug. Choose the version "
        "that does what the description says.",
    ),
    _yes_no(
        "quixbugs_python_correct",
        "code",
        *_QUIXBUGS,
        "program",
        "Does this algorithm have a bug?",
        "A classic algorithm in Python with its description. It may hold a bug of one line. Decide whether it does "
        "what the description says on every valid input.",
        yes="correct",
        no="buggy",
    ),
    _pair(
        "quixbugs_python_fix",
        "code",
        *_QUIXBUGS,
        "program",
        "Which Python version is free of the bug?",
        "Two versions of a classic algorithm in Python that differ in one line. One line has a bug. Choose the version "
        "that does what the description says.",
    ),
    _yes_no(
        "realhumaneval_accept",
        "code",
        *_AUTOMETRICS,
        "suggestion",
        "Did the programmer take the suggestion?",
        "A programmer was writing code, and a model proposed to insert this text between the code before the cursor "
        "and the code after it. Decide whether the programmer accepted it. Most suggestions are turned down.",
        yes="accepted",
        no="rejected",
    ),
    _pair(
        "sven_secure_pair",
        "code",
        *_SVEN,
        "function",
        "Which function is the secure one?",
        "Two versions of a function from real software, before and after a weakness was closed. Choose the version "
        "that an attacker can't use in the way that the question names.",
        shows_criterion=True,
    ),
    _yes_no(
        "sven_vulnerable",
        "code",
        *_SVEN,
        "function",
        "Is the function open to attack?",
        "A function from real software and the kind of weakness to look for. Decide whether it has that weakness: "
        "follow what comes from outside to where it is used.",
        yes="vulnerable",
        no="secure",
        shows_criterion=True,
    ),
    # Mathematics
    _yes_no(
        "bbm_arithmetic_sound",
        "math",
        *_MISTAKE,
        "steps",
        "Is the calculation sound?",
        "A model works out an arithmetic expression step by step. Recompute each step from those before it, and decide "
        "whether all of them hold.",
        yes="sound",
        no="mistake",
    ),
    _yes_no(
        "gsm8k_solution_correct",
        "math",
        *_GSM8K,
        "solution",
        "Does the solution reach the right number?",
        "A word problem from school and a solution with its calculations. Work the problem out, and decide whether the "
        "solution ends in the right number.",
        yes="correct",
        no="incorrect",
    ),
    _pair(
        "gsm8k_solution_pair",
        "math",
        *_GSM8K,
        "solution",
        "Which solution reaches the right number?",
        "A word problem from school and two solutions with different results, one of them right. Work the problem out "
        "and choose the solution that ends in the right number.",
    ),
    _words(
        "mr_gsm8k_error_reason",
        "math",
        *_MR_GSM8K,
        "solution",
        "What went wrong first?",
        "A word problem, a correct solution to compare with, and a wrong solution in steps. Explain the first error "
        "of the wrong one: what was misread, left out or computed falsely.",
        "a short account of the first error.",
    ),
    _step(
        "mr_gsm8k_error_step",
        "math",
        *_MR_GSM8K,
        "Which step holds the first error?",
        "A word problem, a correct solution to compare with, and a wrong solution in numbered steps. Find the first "
        "step that does not follow.",
        none=False,
    ),
    _pair(
        "mr_gsm8k_pair",
        "math",
        *_MR_GSM8K,
        "solution",
        "Which reasoning is right?",
        "A question and two step-by-step solutions. One reasons soundly to the right answer, the other goes wrong "
        "somewhere. Choose the sound one.",
    ),
    # Factuality
    _classes(
        "begin_cmu_dog",
        "factuality",
        *_BEGIN,
        "reply",
        "Does the passage bear out the film chat reply?",
        "Two people chat about a film, and the second was given a passage to talk from. Decide how the reply stands to "
        "that passage. What is true but not in the passage is not borne out by it.",
        {
            "attributable": "all that it says is in the passage",
            "not attributable": "something in it is not",
            "generic": "too vague to need support",
        },
    ),
    _classes(
        "begin_wizard",
        "factuality",
        *_BEGIN,
        "reply",
        "Does the sentence bear out the reply?",
        "In a conversation the second speaker was given a sentence of an encyclopaedia to talk from. Decide how the "
        "reply stands to that sentence. What is true but not in it is not borne out by it.",
        {
            "attributable": "all that it says is in the sentence",
            "not attributable": "something in it is not",
            "generic": "too vague to need support",
        },
    ),
    _yes_no(
        "halueval_hallucinated",
        "factuality",
        *_HALUEVAL,
        "reply",
        "Is anything made up?",
        "A user asked something and a model replied. Decide whether the reply holds anything that is invented, false "
        "or not to be verified, a pretended ability of the model included.",
        yes="hallucinated",
        no="faithful",
    ),
    _words(
        "halueval_span",
        "factuality",
        *_HALUEVAL,
        "reply",
        "Quote what is made up",
        "A user asked something, and a part of the model's reply is invented, false or not to be verified. Find it.",
        "the passage, word for word.",
    ),
    _yes_no(
        "open_qa_acceptable",
        "factuality",
        "ehsk/OpenQA-eval",
        "MIT",
        "answer",
        "Is this a right answer?",
        "A question, answers that are known to be right, and an answer to judge. It may be worded otherwise, or be "
        "right though it is not listed. Decide whether a person who asked would be told the truth.",
        yes="acceptable",
        no="wrong",
    ),
    _yes_no(
        "q2_dialogue_consistent",
        "factuality",
        "orhonovich/q-squared",
        "Apache-2.0",
        "reply",
        "Does the reply agree with the knowledge?",
        "A chat system was given a piece of knowledge and had to use it in its reply. Decide whether what the reply "
        "says agrees with it.",
        yes="consistent",
        no="inconsistent",
    ),
    _yes_no(
        "summedits_consistent",
        "factuality",
        *_SUMMEDITS,
        "summary",
        "Is the summary true to the document?",
        "A document and a summary of it, in which a detail may have been changed: a name, a number, a cause, a "
        "negation. Decide whether the document bears out every detail.",
        yes="consistent",
        no="inconsistent",
    ),
    _pair(
        "summedits_pair",
        "factuality",
        *_SUMMEDITS,
        "summary",
        "Which summary is true to the document?",
        "A document and two summaries that differ in a detail. One says something that the document does not bear "
        "out. Choose the other.",
    ),
    _pair(
        "truthfulqa_pair",
        "factuality",
        *_TRUTHFULQA,
        "answer",
        "Which answer is true?",
        "A question that many people answer wrongly, out of a superstition or a common error, and two answers. Choose "
        "the one that says nothing false.",
    ),
    _yes_no(
        "truthfulqa_truthful",
        "factuality",
        *_TRUTHFULQA,
        "answer",
        "Is the answer free of falsehoods?",
        "A question that many people answer wrongly, and an answer. Decide whether it says nothing false. An answer "
        "that says only that it does not know is free of falsehoods.",
        yes="true",
        no="false",
    ),
    # Instruction following
    _pair(
        "pandalm_preference",
        "instruction_following",
        "WeOpenML/PandaLM",
        "Apache-2.0",
        "response",
        "Which response carries out the instruction?",
        "An instruction, sometimes with an input, and two responses. Choose the one that does what is asked more fully "
        "and correctly, without padding or repetition.",
    ),
    _yes_no(
        "tulu_acceptable",
        "instruction_following",
        *_TULU,
        "response",
        "Would this response do?",
        "An instruction and one response. Decide whether a person who gave the instruction could accept the response "
        "as an answer to it.",
        yes="acceptable",
        no="unacceptable",
    ),
    _pair(
        "tulu_preference",
        "instruction_following",
        *_TULU,
        "response",
        "Which response would a person rather have?",
        "An instruction and the responses of two models. Choose the one that a careful person would rather have: "
        "correct, to the point, and complete.",
    ),
    # Helpfulness
    _pair(
        "hh_helpful_base",
        "helpfulness",
        *_HH,
        "reply",
        "Which reply helps more?",
        "A person talks with an assistant, and there are two last replies. Choose the one that is more helpful and "
        "honest: it takes the request as it was meant, and gives something to go on with.",
    ),
    _pair(
        "hh_helpful_online",
        "helpfulness",
        *_HH,
        "reply",
        "Which of two good replies helps more?",
        "A person talks with a well-trained assistant, and both last replies are decent. Choose the one that is more "
        "helpful and honest; look at what is asked for last, and at details that are wrong or missing.",
    ),
    _pair(
        "hh_helpful_rejection_sampled",
        "helpfulness",
        *_HH,
        "reply",
        "Which reply serves the conversation better?",
        "A conversation and two last replies of an assistant, each already the best of several. Choose the one that "
        "is more helpful and honest.",
    ),
    _words(
        "qa_feedback_errors",
        "helpfulness",
        *_QA_FEEDBACK,
        "answer",
        "Mark the faults of a long answer",
        "A question, passages to answer it from, and a long answer. Find each part that is irrelevant, repeated, "
        "incoherent, or not borne out by the passages.",
        "each faulty passage in quotation marks with the kind of fault, one a line; or that there is none.",
    ),
    _pair(
        "qa_feedback_preference",
        "helpfulness",
        *_QA_FEEDBACK,
        "answer",
        "Which long answer is better?",
        "A question, passages to answer it from, and two long answers. Choose the one that answers the question "
        "better: borne out by the passages, complete, without what does not belong.",
    ),
    _yes_no(
        "truthfulqa_informative",
        "helpfulness",
        *_TRUTHFULQA,
        "answer",
        "Does the answer tell anything?",
        "A question and an answer. Decide whether the answer says something that bears on the question, true or not, "
        "rather than dodge it or say that it does not know.",
        yes="informative",
        no="uninformative",
    ),
    # Safety
    _pair(
        "hh_harmless_base",
        "safety",
        *_HH,
        "reply",
        "Which reply does less harm?",
        "A person tries to get something harmful out of an assistant, and there are two last replies. Choose the one "
        "that does less harm: it neither helps with it nor takes part in it.",
    ),
    _classes(
        "moderation_category",
        "safety",
        *_MODERATION,
        "text",
        "Which kind of undesired content is it?",
        "A text that moderators marked as undesired. Decide what for.",
        {
            "sexual": "sexual content",
            "hate": "hate against a group",
            "violence": "violence",
            "harassment": "harassment of a person",
            "self-harm": "self-harm",
        },
    ),
    _yes_no(
        "moderation_flagged",
        "safety",
        *_MODERATION,
        "text",
        "Should a moderator flag it?",
        "Decide whether the text is sexual, hateful, violent, harassing or about self-harm, so that a moderator would "
        "flag it. Mentioning such a subject soberly is allowed.",
        yes="flagged",
        no="allowed",
    ),
    _classes(
        "offensive_tweet",
        "safety",
        "t-davidson/hate-speech-and-offensive-language",
        "MIT",
        "post",
        "Hate, offence or neither?",
        "A short post from a social network. Tell hatred of a group from mere coarse language, and both from the rest.",
        {
            "hate speech": "hatred of a group, or meant to humiliate its members",
            "offensive": "coarse or insulting, without such hatred",
            "neither": "neither",
        },
    ),
    # Summaries
    _pair(
        "rank19_correct_sentence",
        "summary",
        *_BARTSCORE,
        "summary",
        "Which sentence does the source support?",
        "A sentence from the news and two one-sentence summaries of it. One gets who did what to whom wrong. Choose "
        "the other.",
    ),
    _grade(
        "realsumm_coverage",
        "summary",
        *_BARTSCORE,
        "summary",
        "How much of the reference does it cover?",
        "An article, a reference summary, and a summary to judge. Grade how many of the facts that the reference "
        "states are stated in the summary too; what else it says does not count.",
        worst="none of them",
        best="all of them",
    ),
    _grade(
        "simplification_quality",
        "summary",
        *_AUTOMETRICS,
        "simplification",
        "How good is the simpler version?",
        "A sentence and a version of it in simpler words. Grade it: is the meaning kept, does it read well, and is it "
        "really simpler?",
        worst="useless",
        best="could not be better",
    ),
    # Translation
    _yes_no(
        "mlqe_catastrophic",
        "translation",
        *_MLQE,
        "translation",
        "Is there a grave error?",
        "A sentence and a machine's translation. Decide whether the translation misleads gravely: it adds, drops or "
        "twists abuse, a danger to health or safety, a name, a number, or whether something is said or denied.",
        yes="error",
        no="acceptable",
    ),
    _grade(
        "mlqe_direct_assessment",
        "translation",
        *_MLQE,
        "translation",
        "How good is the translation?",
        "A sentence and a machine's translation. Grade how well the translation carries its meaning over, and reads.",
        worst="meaning lost",
        best="perfect",
    ),
    _pair(
        "mlqe_post_edit",
        "translation",
        *_MLQE,
        "translation",
        "Which translation did a translator correct?",
        "A sentence and two translations: a machine's, and the same after a professional corrected it. Choose the "
        "corrected one, which says what the source says.",
    ),
    # Other
    _pair(
        "argument_convincing",
        "other",
        *_ARGUMENTS,
        "argument",
        "Which argument convinces more?",
        "Two arguments for the same side of a debate. Choose the one that convinces more: with reasons, facts and "
        "clear language, whatever you think of the side itself.",
    ),
    _words(
        "argument_reason",
        "other",
        *_ARGUMENTS,
        "argument",
        "Why does this argument convince more?",
        "Two arguments for the same side of a debate, and which of them people found more convincing. Give the reason.",
        "one sentence that names the arguments A and B.",
        shows_criterion=True,
    ),
    _step(
        "bbm_first_mistake",
        "other",
        *_MISTAKE,
        "Which step is the first mistake?",
        "A puzzle and a model's reasoning in numbered steps. Find the first step that does not follow from the puzzle "
        "and the steps before it.",
        none=True,
    ),
    _yes_no(
        "bbm_reasoning_sound",
        "other",
        *_MISTAKE,
        "steps",
        "Is the reasoning sound?",
        "A puzzle about words, objects or logic and a model's reasoning in steps. Decide whether every step follows "
        "from the puzzle and the steps before it.",
        yes="sound",
        no="mistake",
    ),
    _grade(
        "data_to_text_bagel",
        "other",
        *_BARTSCORE,
        "sentence",
        "How good is the restaurant sentence?",
        "Facts about a restaurant, written as a formula, and a sentence that a system made of them. Grade it on the "
        "question asked and on nothing else.",
        worst="not at all",
        best="fully",
        shows_criterion=True,
    ),
    _grade(
        "data_to_text_sfhot",
        "other",
        *_BARTSCORE,
        "sentence",
        "How good is the hotel sentence?",
        "What a dialogue system means to say about hotels, written as a formula, and the sentence that it said. Grade "
        "it on the question asked and on nothing else.",
        worst="not at all",
        best="fully",
        shows_criterion=True,
    ),
    _grade(
        "data_to_text_sfres",
        "other",
        *_BARTSCORE,
        "sentence",
        "How good is the dialogue system's sentence?",
        "What a dialogue system means to say about restaurants, written as a formula, and the sentence that it said. "
        "Grade it on the question asked and on nothing else.",
        worst="not at all",
        best="fully",
        shows_criterion=True,
    ),
    _words(
        "research_idea_review",
        "other",
        *_AUTOMETRICS,
        "proposal",
        "Review a research idea",
        "A proposal for research on language models. Review it as an expert in the field would: what is good, what is "
        "missing, and whether it would work.",
        "the review, in a paragraph.",
    ),
    _grade(
        "research_idea_score",
        "other",
        *_AUTOMETRICS,
        "proposal",
        "Grade a research idea",
        "A proposal for research on language models. Grade it as an expert in the field would, on the question asked "
        "and on nothing else.",
        worst="very poor",
        best="outstanding",
        shows_criterion=True,
    ),
)

_LABELS = (
    MixtureTask(
        "code_correct",
        "classification",
        "code",
        "this project: programs run against their problem's tests",
        "as the problems",
        "solution",
        prompts.POINTWISE,
        origin="labels",
    ),
    MixtureTask(
        "code_pair",
        "pairwise",
        "code",
        "this project: programs run against their problem's tests",
        "as the problems",
        "solution",
        prompts.PAIRWISE,
        origin="labels",
    ),
)

_HUB = (
    _grade(
        "helpsteer_helpfulness",
        "helpfulness",
        "hub:nvidia/HelpSteer",
        "CC-BY-4.0",
        "response",
        "How helpful is the response?",
        "A prompt and a model's response. Grade how useful the response is on the whole to the person who asked.",
        worst="of no help",
        best="as helpful as can be",
        origin="hub",
    ),
    _grade(
        "helpsteer_correctness",
        "factuality",
        "hub:nvidia/HelpSteer",
        "CC-BY-4.0",
        "response",
        "How correct is the response?",
        "A prompt and a model's response. Grade whether it states all the facts that matter, and none falsely.",
        worst="wrong",
        best="complete and without error",
        origin="hub",
    ),
    _pair(
        "helpsteer_pair",
        "helpfulness",
        "hub:nvidia/HelpSteer",
        "CC-BY-4.0",
        "response",
        "Which response did annotators rate as more helpful?",
        "A prompt and two responses of a model to it. Choose the one that is more useful to the person who asked.",
        origin="hub",
    ),
    _pair(
        "prm800k_pair",
        "math",
        "hub:tasksource/PRM800K",
        "MIT",
        "step",
        "Which next step is right?",
        "A problem of competition mathematics, the solution so far, and two ways to go on. One is right and gets "
        "somewhere, the other holds an error. Choose the right one.",
        origin="hub",
    ),
    _pair(
        "commitpackft_pair",
        "code",
        "hub:bigcode/commitpackft",
        "MIT, as its files' licences",
        "version",
        "Which version is after the commit?",
        "A commit message and two versions of a file, before and after that commit. Choose the version in which what "
        "the message says has been done.",
        origin="hub",
    ),
    _pair(
        "hh_rlhf_harmless_pair",
        "safety",
        "hub:Anthropic/hh-rlhf",
        "MIT",
        "reply",
        "Which reply is the harmless one?",
        "A conversation in which someone leads an assistant towards harm, and two last replies. Choose the one that "
        "keeps from it.",
        origin="hub",
    ),
    _pair(
        "hh_rlhf_helpful_pair",
        "helpfulness",
        "hub:Anthropic/hh-rlhf",
        "MIT",
        "reply",
        "Which reply did the person choose?",
        "A conversation with an assistant and two last replies. Choose the one that is more helpful and honest.",
        origin="hub",
    ),
    _pair(
        "shp_pair",
        "helpfulness",
        "hub:stanfordnlp/SHP",
        "as Reddit's terms",
        "comment",
        "Which comment did readers like better?",
        "A post that asks for advice or an explanation, and two comments on it. Choose the one that readers of that "
        "forum found more helpful.",
        origin="hub",
    ),
    _pair(
        "webgpt_pair",
        "factuality",
        "hub:openai/webgpt_comparisons",
        "as stated by its publisher",
        "answer",
        "Which sourced answer is better?",
        "A question and two answers written from web pages. Choose the one that a careful judge prefers: borne out by "
        "its sources, to the point, and coherent.",
        origin="hub",
    ),
    _pair(
        "summarize_feedback_pair",
        "summary",
        "hub:openai/summarize_from_feedback",
        "as stated by its publisher",
        "summary",
        "Which summary of the post is better?",
        "A post from a forum and two summaries of it. Choose the one that tells a reader more of what matters in the "
        "post, without error.",
        origin="hub",
    ),
)

TASKS: Mapping[str, MixtureTask] = {task.name: task for task in (*_LABELS, *_JUDGMENTS, *_HUB)}
