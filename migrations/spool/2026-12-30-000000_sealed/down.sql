DROP TABLE sealed_items;
DROP TABLE sealed_shares;
