ALTER TABLE share_data ADD CONSTRAINT share_data_share_num_fkey FOREIGN KEY (share_num) REFERENCES shares (num);
