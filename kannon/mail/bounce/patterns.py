"""Phrases of mail servers about the fate of a mail, in lower case and grouped by meaning.

They cover families of servers (Sendmail, Postfix, qmail, Exim, Exchange, Notes, Gmail, gateways of mobile carriers…)
and their languages, not single reports. heuristics.py searches for them in the output of `normalize`: lower case,
single spaces, "couldn't" written as "could not".
"""

FAILURE = (
    # the mail
    "could not be delivered", "could not deliver", "was not delivered", "were not delivered", "not be delivered",
    "can not deliver", "can not be delivered", "been unable to deliver", "unable to deliver", "not able to deliver",
    "unable to be delivered", "not been delivered", "failed to deliver", "failure to deliver", "undeliver",
    "non-deliver", "nondeliver", "not deliverable", "delivery failed", "delivery failure", "delivery has failed",
    "delivery to the following recipient", "delivery error", "delivery problem", "error delivering",
    "error while trying to deliver", "error occurred while", "trouble delivering", "problem delivering",
    "problems delivering", "delivery attempts failed", "attempts to deliver", "could not be sent", "can not be sent",
    "could not send", "was not sent", "unable to send", "failed to send", "could not be accepted", "not be accepted",
    "could not be processed", "could not be forwarded", "could not be relayed", "could not be completed",
    "did not reach", "did not receive", "did not like our", "not been accepted", "was not accepted", "not accepted",
    "returned mail", "failed mail", "mail system error", "failure notice", "failure reason", "failure notification",
    "fatal error",
    "permanent error", "permanent failure", "failed permanently", "permanently failed", "delivery impossible",
    "returned to sender", "returned to you", "being returned", "was returned", "been returned",
    "your message is rejected", "was rejected", "been rejected", "was refused", "been refused", "was blocked",
    "been blocked", "been bounced", "was bounced", "message rejected", "mail rejected", "message refused",
    "message blocked", "rejected by", "rejected for", "rejected your", "rejected recipient", "refused by",
    "blocked by", "denied by", "access denied", "relaying denied", "relay access denied", "relaying not allowed",
    "not permitted to relay", "unable to relay", "unable to route", "unrouteable", "unroutable", "unable to connect",
    "could not connect", "can not connect", "giving up", "given up", "gave up", "not going to try again",
    "too long in the queue", "in the queue too long", "timeout exceeded", "message expired", "envelope expired",
    "action not taken", "action aborted", "bouncetype", "not be found", "could not be found", "can not find",
    "could not find", "unable to find", "unable to locate", "bounced email", "bounced mail", "not allowed to send",
    "not allowed to post", "permission to post", "not a member", "error transferring", "error in processing",
    "remote host said", "smtp error from remote", "unsent message",
    # the recipient
    "user unknown", "unknown user", "no such user", "unknown recipient", "recipient unknown", "invalid recipient",
    "no such recipient", "bad recipient", "no such mailbox", "no mailbox here", "unknown mailbox", "mailbox unknown",
    "invalid mailbox", "malformed address", "malformed recipient", "incorrectly constructed",
    "mailbox unavailable", "mailbox not found", "mailbox disabled", "mailbox is full",
    "mailbox full", "account disabled", "unknown account", "no such account", "no account by that name",
    "account has been", "invalid address", "invalid user", "unknown address", "address unknown", "bad address",
    "address rejected", "no such address", "address not found", "user not found", "recipient not found",
    "does not exist", "not exist", "not listed in", "do not know anyone", "is not known", "not a known user",
    "not a valid", "no longer valid", "no longer available", "no longer accept", "is inactive", "is disabled",
    "is suspended", "over quota", "overquota", "over the quota", "quota exceeded", "exceeded quota",
    "exceeds the quota", "exceeded the quota", "exceeds allowed", "limit exceeded", "size limit",
    "exceeds the maximum", "exceeded the maximum", "too large", "too big", "exceeded storage", "host unknown",
    "unknown host", "host not found", "domain not found", "unknown domain", "no mx", "null mx",
    "does not like recipient", "have a yahoo", "not our customer", "has moved",
    # 日本語
    "配信できません", "配信出来ません", "配信されません", "送信できません", "送信出来ません", "届けできません",
    "お届けでき", "届きませんでした", "配送できません", "配達できません", "送れませんでした", "送信に失敗",
    "配信に失敗", "配信エラー", "宛先不明", "存在しない", "見つかりません", "受信拒否", "エラーメール", "容量を超え",
    "送信できなかった", "配信できなかった", "お送りすることができません", "送信されませんでした",
    "することができませんでした", "存在しません", "配送エラー",
    # Deutsch, français, español, português, italiano, nederlands, polski, русский, 中文, 한국어
    "nicht zugestellt", "nicht zustell", "unzustellbar", "nicht erreicht", "existiert nicht",
    "zustellung fehlgeschlagen", "n'a pas pu", "non remis", "échec de la remise", "non distribu", "pas été remis",
    "n'existe pas", "échec de distribution", "no se ha podido", "no se pudo entregar", "no entregado",
    "no ha podido ser entregado", "no existe", "mensaje devuelto", "não foi possível", "não entregue", "não pôde ser",
    "não existe", "falha na entrega", "impossibile recapitare", "impossibile consegnare", "non recapitabile",
    "mancato recapito", "non è stato possibile", "niet bezorgd", "niet worden bezorgd", "onbestelbaar",
    "nie mogła zostać", "niedostarcz", "nie została dostarczona", "не может быть доставлено", "не доставлено",
    "не удалось доставить", "не существует", "退信", "无法投递", "无法送达", "投递失败", "無法傳遞", "發送失敗",
    "发送失败", "전송 실패", "전송하지 못", "반송",
    "nicht gefunden werden", "nicht ausgeliefert", "n'ont pas pu", "n'a pu être", "impossible de remettre",
    "introuvable", "no pudo ser", "no se pudo enviar", "no pudo entregar", "buzón lleno", "não pode ser entregue",
    "não foi entregue", "mancata consegna", "non consegnat", "non è stato consegnato", "non esiste",
    "niet worden afgeleverd", "niet afgeleverd", "bestaat niet", "nie udało się dostarczyć", "nie można dostarczyć",
    "nie dostarczono", "nie istnieje", "не может быть достав", "недоставлен", "не удалось отправить", "не найден",
    "被退回", "系统退信", "不存在", "拒收", "無法投遞", "无法发送", "遞送失敗", "傳遞失敗", "발송 실패", "발송실패",
    "전송되지 못", "전달되지 않", "존재하지 않",
    # svenska, dansk, norsk, suomi, čeština, slovenčina, magyar, română, türkçe, українська, ελληνικά
    "kunde inte levereras", "kan inte levereras", "inte levererats", "kunne ikke leveres", "kan ikke leveres",
    "ikke leveret", "ikke levert", "ei voitu toimittaa", "ei voida toimittaa", "toimitus epäonnistui", "nelze doručit",
    "možné doručit", "nedoručen", "nedoručiteln", "možné doručiť", "neexistuje", "nem kézbesít", "kézbesíthetetlen",
    "nu a putut fi livrat", "teslim edilemedi", "iletilemedi", "gönderilemedi", "не вдалося достав", "не доставлен",
    "δεν ήταν δυνατή", "δεν παραδόθηκε",
)  # fmt: skip

DELAY = (
    "warning message only", "warning: could not send", "do not resend",
    "this is a warning", "is only a warning", "warning only", "not need to resend",
    "not need to re-send", "no need to resend", "no need to re-send", "will be retried", "being retried",
    "be re-tried", "will be reattempted", "will keep trying", "keep trying to", "continue trying", "continue to try",
    "keep retrying", "will retry", "will try again", "continue to be attempted", "attempts will continue",
    "attempts will be made", "has been delayed", "been temporarily delayed", "is delayed", "was delayed",
    "is being delayed", "delivery delayed", "delivery delay", "delayed mail", "message delayed",
    "delivery temporarily suspended", "delivery is deferred", "notification (delay)",
    "delivery status notification: delay", "still undelivered", "not yet been delivered", "not been delivered yet",
    "not yet delivered", "not been able to deliver yet", "no action is required on your part",
    "could not send message for past", "temporary failure report", "kept in the queue", "remains in the queue",
    "remain in the queue", "remain on the queue", "remains on the queue", "is in the queue", "still in the queue",
    "mail delay", "will be attempted again", "temporary problem delivering", "only a temporary", "will be queued",
    "verzögert", "weitere zustellversuche", "retardé", "a été différé", "demorado", "aplazad", "ritardat",
    "vertraagd", "配信が遅れ", "遅延", "再送を試み", "再送します", "задерж", "延迟",
    "noch nicht zugestellt", "retrasad", "todavía no se ha entregado", "atrasad", "ainda não foi entregue", "opóźnion",
    "отложен", "еще не доставлен", "ещё не доставлен", "尚未传递", "尚未送达", "尚未投递", "尚未傳遞", "延遲", "지연",
    "fördröj", "försenad", "forsinke", "viivästy", "zpožděn", "gecik",
)  # fmt: skip
"""Delivery continues."""

GIVING_UP = (
    "giving up", "given up", "gave up", "failed permanently", "permanently failed", "permanent failure",
    "permanent error", "permanent fatal error", "not going to try again", "too long in the queue",
    "in the queue too long", "timeout exceeded", "retry time expired", "no further attempts", "no more attempts",
    "will not be retried", "will not retry", "will not try again", "will be deleted from queue", "message expired",
    "delivery time expired", "returning message to sender", "has been returned", "has been removed from the queue",
    "delivery has failed", "could not be delivered after",
)  # fmt: skip
"""No further attempt follows. Stronger than DELAY: a final report may mention the delays before it."""

SUCCESS = (
    "successfully delivered", "successfully relayed", "delivered successfully", "has been delivered",
    "was delivered to", "successful delivery", "was successfully", "has been successfully", "return receipt",
    "delivery receipt", "message was delivered", "relayed to", "has been read", "was read on", "was displayed",
    "delivery confirmation",
)  # fmt: skip

SUBJECTS = (
    "undeliver", "non-deliver", "nondeliver", "not deliver", "non deliver", "delivery fail", "delivery status",
    "delivery notif", "delivery report", "delivery problem", "delivery error", "delivery has failed",
    "failed delivery", "failed mail", "mail delivery", "failure notice", "failure notif", "mail failure", "mail error",
    "mail system error", "mail status", "returned mail", "returned message", "returned to sender", "returned e-mail",
    "returned email", "mail returned", "message returned", "message status", "message blocked", "message rejected",
    "message not", "message you sent blocked", "status notification", "could not be deliver", "could not deliver",
    "could not send", "can not deliver", "unable to deliver", "was not delivered", "failed to deliver",
    "rejected mail", "mail rejected", "rejected message", "rejected:", "bounced", "bounce", "user unknown",
    "host unknown", "recipient unknown", "mailbox full", "mailbox unavailable", "problem delivering", "undelivered",
    "warning: could not send", "service unavailable", "nicht zugestellt", "unzustellbar", "nicht zustellbar",
    "non remis", "échec de la remise", "no entregado", "devuelto", "não entregue", "devolvid", "non recapitabile",
    "mancato recapito", "onbestelbaar", "niedostarcz", "недостав", "не доставлено", "配信できま", "配信エラー",
    "送信エラー", "エラーメール", "不達", "退信", "无法投递", "投递失败", "반송",
    "配送エラー", "발송 실패", "발송실패", "전송 실패", "mancata consegna", "niet worden afgeleverd",
    "nie można dostarczyć", "teslim edilemedi", "kunde inte levereras", "olevererbar", "kan ikke leveres",
    "nedoručiteln", "kézbesíthetetlen",
)  # fmt: skip
"""In the subject of a report."""

PROGRAMS = (
    "mailer-daemon", "mailer daemon", "mailerdaemon", "mail-daemon", "maildaemon", "mdaemon", "mail deliver",
    "maildeliver", "mail system", "mailsystem", "mail-system", "delivery subsystem", "delivery system",
    "delivery service", "delivery agent", "system attendant", "internet mail service", "mail robot", "mail-robot",
    "smtp gateway", "smtp-gateway", "<>", "mail router", "microsoft exchange", "メールシステム",
)  # fmt: skip
"""In a From field: a program of a mail system."""

ROLES = (
    "postmaster", "post_master", "post-master", "mail administrator", "mail admin", "mailadmin", "mail-admin",
    "system administrator", "mail server", "mailserver", "mail gateway", "mail-gateway", "mailgateway", "bounce",
)  # fmt: skip
"""In a From field: a role of a mail system. Programs and autoresponders both use it."""

AUTO_SUBJECTS = (
    "auto:", "autoreply", "auto-reply", "auto reply", "autoresponse", "auto-response", "auto response",
    "auto response:", "autoresponder", "automatic reply", "automatic response", "automatic answer", "automated reply",
    "automated response", "automatische antwort", "automatisch antwoord", "out of office", "out of the office",
    "ooo:", "réponse automatique", "respuesta automática", "risposta automatica", "resposta automática", "autosvar",
    "fuera de la oficina", "fuera de oficina", "自動応答", "自動返信", "自动回复", "автоответ",
    "automatyczna odpowiedź", "автоматический ответ", "автоматична відповідь", "自动答复", "自動回覆", "자동 응답",
    "자동응답", "자동 회신", "부재중", "automatisk svar", "automatiskt svar", "automaattinen vastaus",
    "automatická odpověď", "automatikus válasz", "otomatik yanıt", "răspuns automat", "αυτόματη απάντηση",
)  # fmt: skip
"""Starts of a subject: an automatic reply, regardless of its sender."""

AWAY_SUBJECTS = (
    "ooo ", "away from", "away until", "on vacation", "vacation", "on holiday", "on leave", "absence", "absent",
    "abwesen", "afwezig", "urlaub", "ferien", "en vacances", "de vacaciones", "in ferie", "em férias", "отпуск", "휴가",
    "休暇", "休假", "不在", "thank you for your", "thank you for contacting", "thanks for your",
)  # fmt: skip
"""Starts of a subject: an automatic reply for a person. A mail system may quote such a subject of the original."""

SUCCESS_SUBJECTS = ("success", "return receipt", "delivery receipt", "delivered:", "relayed:")
"""Starts of a subject: the mail was delivered, even where the text mentions failures that may follow."""
