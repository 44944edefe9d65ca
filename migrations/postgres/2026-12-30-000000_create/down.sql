DROP TABLE passed_time, checks, redaction_key, redactions, last_deletion, share_data, shares, create_tokens;
