-- Each item that came was looked up in shares once more, a sixth of what a write costs. The statement that writes items
-- has locked their shares' rows, and a share's row goes after its items.
ALTER TABLE share_data DROP CONSTRAINT share_data_share_num_fkey;
