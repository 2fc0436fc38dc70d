extension ServiceSettings {
    /// What the key for looking up identifiers is derived from, the same for all services:
    /// `MARTLET_IDENTIFIER_SECRET` (or `…_FILE`), else the secret that service tokens are signed with. With the
    /// first, the second can be changed without losing sight of every identifier.
    package func identifierSecret() throws(SettingsError) -> String {
        if string("IDENTIFIER_SECRET") != nil || string("IDENTIFIER_SECRET_FILE") != nil {
            return try secret("IDENTIFIER_SECRET")
        }
        return try secret("SERVICE_SECRET")
    }
}
