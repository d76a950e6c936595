-- What a server last answered outlives the attempts that met none: out of budget, it is what the mail bounced with.
ALTER TABLE sending_pool_emails
    ADD COLUMN answer_code integer NOT NULL DEFAULT 0, -- 0: no server has answered yet
    ADD COLUMN answer_text text NOT NULL DEFAULT '';
UPDATE sending_pool_emails SET answer_code = last_code, answer_text = last_text WHERE last_code >= 400;
