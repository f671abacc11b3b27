"""StereoSet (Nadeem et al. 2021; ACL 2021.acl-long.416): stereotype, anti-stereotype or something unrelated."""
