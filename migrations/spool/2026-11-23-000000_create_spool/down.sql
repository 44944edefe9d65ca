DROP TABLE spool;
