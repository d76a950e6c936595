"""What a report says in plain words: phrases in, "failure", "delay" or nothing out.

For the mail servers that write prose (qmail, Exim, Exchange before 2007, Notes, gateways of telephone companies…).
The phrases are those of families of servers, not of single reports. Every pattern is a plain alternation over text
that was capped before, so the cost is linear.
"""

import re

MAX_PROSE = 16 << 10

_ORIGINAL_MARKS = re.compile(
    r"\n[ \t>]*(?:"
    r"-{2,}[ \t]*(?:below this line|this is a copy|the (?:header|body) of the original|original message|forwarded message|"
    r"returned message|unsent message|message (?:text|headers?)|undelivered message|your (?:original )?message|"
    r"start of (?:original|returned)|included is a copy|enclosed is a copy|transcript of (?:the )?message|body of message)"
    r"|message headers follow|original message (?:headers? )?follows|(?:the )?(?:headers? of (?:the|your) )?original message"
    r"(?: headers?)?[ \t]*:?[ \t]*\n|your (?:original )?message (?:headers? )?follows|"
    r"received:[ \t]|return-path:[ \t]|dkim-signature:|message-id:[ \t]*<|mime-version:[ \t]*1|x-mailer:[ \t]"
    r")",
    re.IGNORECASE,
)

_DELAY = re.compile(
    r"warning message only|this is (?:only )?a warning|is a warning only|not need to re-?send|no need to re-?send|"
    r"(?:will|shall) be (?:retried|re-?tried|re-?attempted)|still being retried|(?:will|continue) (?:to )?keep trying|will keep trying|"
    r"(?:has|have) (?:been|not yet been) (?:delayed|delivered)|delivery (?:is |was |has been )?(?:delayed|deferred)|"
    r"(?:is|was|been) (?:temporarily )?delayed|still undelivered|will (?:continue|try again|retry)|temporary failure report|"
    r"\bdelivery status notification ?\(delay\)|(?:no action is required|you do not need to do anything)|"
    r"delivery attempts will continue|could not send message for past|delayed mail|delivery delayed|message is delayed|"
    r"mail (?:delivery )?delay|retrying (?:for|until)|will be queued|remains? (?:in the|on the) queue|kept in (?:the|our) queue|"
    r"not yet (?:been )?deliver|(?:continue|keep)(?:s|ing)? (?:to try|trying)|attempt(?:s|ed)? (?:again|to (?:re)?deliver) (?:later|for)",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"giving up|given up|gave up|failed permanently|permanent(?:ly)? (?:fatal )?(?:error|fail)|permanent failure|not going to try again|"
    r"too long in the queue|been in the queue too long|retry timeout exceeded|retry time(?:out)? (?:not reached )?(?:has )?expired|message (?:has )?expired|"
    r"will not (?:be )?(?:retr|try)|no further attempts|message will be deleted|delivery time(?:out)? (?:has )?expired|"
    r"has been (?:returned|rejected|bounced)|returning message to sender",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"(?:could ?n[o']t|couldn.t|can ?not|can.t|was ?n[o']t|wasn.t|was not|were not|not be|unable to be|has not been|have not been|never|isn.t) "
    r"(?:be )?(?:successfully )?(?:been )?(?:deliver|sent|send|accept|found|receiv|process|transmit|forward|relay)|"
    r"unable to (?:deliver|send|find|locate|route|relay|transmit|connect|transfer|contact)|not able to (?:deliver|be deliver)|"
    r"undeliver(?:able|ed)|non-?deliver(?:y|able)|nondeliver|fail(?:ed|ure|s)? to (?:deliver|send|reach)|"
    r"deliver(?:y|ed|ing)?(?: of| to| has| have| attempts?| status| notification|\W){0,6}(?:fail|error|impossible|not possible|unsuccessful)|"
    r"(?:fail|error|problem)\w*(?: \w+){0,3} (?:deliver|sending|transferring|transmit)|did not (?:reach|receive|like)|returned mail|mail (?:system )?error|"
    r"failure (?:notice|reasons?|notification|report)|fatal errors?|permanent (?:error|failure)|could not deliver|"
    r"(?:user|account|mailbox|recipient|address|host|domain)(?: name| id| \S{1,60})? (?:is |was |are |does |has been )?(?:not |un|in|no )?"
    r"(?:unknown|not? (?:exist|found|valid|known|listed|available|active|allowed)|invalid|inactive|disabled|suspended|full|over ?quota|"
    r"unavailable|unreachable|rejected|doesn.t exist|closed|terminated|deleted|expired)|"
    r"(?:no such|unknown|invalid|bad|illegal|non-?exist\w+) (?:user|account|mailbox|recipient|address|host|domain|local|person|name)|"
    r"(?:quota|size|limit)(?: \w+){0,3} exceed|exceed\w*(?: \S+){0,4} (?:quota|size|limit|space)|mailbox (?:is )?full|over ?quota|"
    r"(?:message|mail|e-?mail)(?: \w+){0,3} (?:rejected|refused|bounced|blocked|denied|undeliver\w+)|access denied|relaying denied|"
    r"(?:rejected|refused|blocked|denied) (?:by|your|the|for|due)|bounce(?:d|type)|returned to (?:you|sender)|not listed in|"
    r"(?:does ?n.t|doesn.t|does not) have (?:an? )?\S{1,80} account|don.t know anyone|action not taken|technical details of permanent",
    re.IGNORECASE,
)
_SUBJECT_FAILURE = re.compile(
    r"undeliver|non-?deliver|nondeliver|deliver\w* (?:\w+ )?(?:fail|problem|error|status|report|notif)|(?:fail\w*|unsuccessful|unable to|could not|rejected?|"
    r"error|problem\w*) (?:\w+ ){0,3}(?:deliver|mail|message|sending)|failure notice|returned? (?:mail|message|to sender|e-?mail)|mail (?:system )?(?:error|failure|fail|rejected|could not|"
    r"status|returned|bounce)|message (?:you sent )?(?:blocked|rejected|bounced|not deliver|status|undeliver)|bounced? (?:mail|message|e-?mail)|"
    r"(?:user|recipient|host|mailbox) (?:unknown|unavailable|full)|mail delivery|delivery status|status notification|could not be deliver|"
    r"rejected (?:posting|message|mail)|warning: could not send|service unavailable|can.?t (?:be )?(?:deliver|send)|not deliver",
    re.IGNORECASE,
)
_DAEMON = re.compile(
    r"mailer[-_ .]?daemon|post[-_ ]?master|mail ?deliver|mail ?system|mail ?admin|delivery[ -]?(?:sub)?system|mail[-_ ]?robot|"
    r"mail[-_ ]?daemon|system administrator|mail administrator|bounces?[-@+]|^\"?mail(?:er)?\"?\s*<|<>|mdaemon|smtp[-_ ]?(?:gateway|agent|server)|"
    r"no-?reply@sns\.amazonaws|delivery-?(?:notification|report)|internet ?mail ?(?:service|delivery)|mailscanner|antispam|quarantine",
    re.IGNORECASE,
)
_AUTO_SUBJECT = re.compile(
    r"^\s*(?:re: ?)?(?:auto(?:matic|mated|matische|matisch)?[- :]?\s?(?:re(?:ply|sponse|spond)|antwort|answer|:)|out of (?:the )?office|ooo\b|"
    r"away (?:from|until)|on (?:vacation|holiday|leave)|vacation|i am (?:away|out|on)|absen(?:ce|t)|abwesen|r[ée]ponse automatique|"
    r"respuesta autom|risposta automatica|resposta autom|autosvar|automatisch antwoord|afwezig|fuera de la oficina|自動|thank you for (?:your|contacting))",
    re.IGNORECASE,
)
_CHALLENGE = re.compile(
    r"confirm (?:that you|your message|this message|your e-?mail)|challenge[- ]response|verify (?:that you|your address)|please (?:click|reply)[^\n]{0,80}(?:deliver|verify|confirm)",
    re.I,
)
_ADDRESS = re.compile(
    r"(?<![\w.+=-])([\w.+=!#$%&'*/?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})(?![\w-])"
)


def cut_original(text: str) -> str:
    """The report's own words: everything before the copy of the original message, at most MAX_PROSE characters."""
    text = text[: MAX_PROSE * 2]
    match = _ORIGINAL_MARKS.search("\n" + text)
    own = text[: match.start()] if match else text
    return own[:MAX_PROSE]


def says_delay(text: str) -> bool:
    return bool(_DELAY.search(text))


def says_final(text: str) -> bool:
    return bool(_FINAL.search(text))


def says_failure(text: str) -> bool:
    return bool(_FAILURE.search(text))


def is_failure_subject(subject: str) -> bool:
    return bool(_SUBJECT_FAILURE.search(subject[:300]))


def is_auto_subject(subject: str) -> bool:
    return bool(_AUTO_SUBJECT.search(subject[:300]))


def is_daemon(sender: str) -> bool:
    return bool(_DAEMON.search(sender[:300]))


def find_address(text: str) -> str:
    """The first mail address, as a hint at whom the report speaks of."""
    match = _ADDRESS.search(text[:MAX_PROSE])
    return match[1] if match else ""
