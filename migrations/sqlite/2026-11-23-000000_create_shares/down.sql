DROP TABLE share_data;
DROP TABLE shares;
