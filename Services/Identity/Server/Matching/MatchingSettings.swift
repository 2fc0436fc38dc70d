import ServiceKit

/// How much matching may take, and how long it keeps what it was brought.
struct MatchingSettings: Sendable {
    /// Profiles with something to compare that the index for look-ups holds in memory at most, and a job together with its
    /// records.
    let mostProfiles: Int
    /// Days after a job for which questions about its records wait, and their ids are kept.
    let recordDays: Int

    /// How often something is tried that another instance is at.
    static let attempts = 5
    /// Jobs that may wait.
    static let mostOpenJobs = 20

    init(mostProfiles: Int = 1_000_000, recordDays: Int = 30) {
        self.mostProfiles = mostProfiles
        self.recordDays = recordDays
    }

    init(_ settings: ServiceSettings) throws(SettingsError) {
        mostProfiles = try settings.int("MATCHING_PROFILES", in: 1...20_000_000, default: 1_000_000)
        recordDays = try settings.int("MATCHING_RECORD_DAYS", in: 1...365, default: 30)
    }
}
