-- From now on a key is shown who people are only with a scope of its own. The keys that there are go on with what they had.
UPDATE platform.api_key SET scopes = array_append(scopes, 'identifiers:read')
WHERE NOT scopes && ARRAY['admin', 'identifiers:read'];
