{"log":"a line of b","zone":"nowhere","node":"node-1","secret":"Linux","empty":"xwas emptyx"}
