package import Postgres

/// What a service seals with what it keeps.
package struct Vault: Sendable {
    /// The keys of its own, by day.
    package let days: DayKeys
    /// The keys of profiles.
    package let profiles: ProfileKeys

    package init(days: DayKeys, profiles: ProfileKeys) {
        self.days = days
        self.profiles = profiles
    }

    /// `settings` are those of the service's own connections.
    package init(schema: String, settings: PostgresSettings, keys: KeyEncryptionKeys) {
        self.init(
            days: DayKeys(schema: schema, settings: settings, keys: keys), profiles: ProfileKeys(keys: keys))
    }
}
