DROP TABLE held;
DROP TABLE findings;
DROP TABLE redactions;
