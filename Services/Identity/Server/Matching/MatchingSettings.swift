import ServiceKit

/// How much matching may take.
struct MatchingSettings: Sendable {
    /// Profiles with something to compare that a job, or the index for look-ups, holds in memory at most.
    let mostProfiles: Int

    /// How often something is tried that another instance is at.
    static let attempts = 5
    /// Jobs that may wait.
    static let mostOpenJobs = 20

    init(mostProfiles: Int = 1_000_000) { self.mostProfiles = mostProfiles }

    init(_ settings: ServiceSettings) throws(SettingsError) {
        mostProfiles = try settings.int("MATCHING_PROFILES", in: 1...20_000_000, default: 1_000_000)
    }
}
