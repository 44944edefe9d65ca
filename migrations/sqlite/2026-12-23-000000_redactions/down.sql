DROP TABLE redaction_key;
DROP TABLE redactions;
