package import Models

/// What a service reported about a privacy request.
package enum PrivacyResultStatus: String, Sendable, Codable, CaseIterable {
    case pending, completed, failed

    /// What stands after a further report. A completion is final: reports may be repeated and may overtake each
    /// other, and what is done stays done.
    package func after(_ report: PrivacyResultStatus) -> PrivacyResultStatus {
        self == .completed || report == .pending ? self : report
    }
}

/// Where a privacy request stands.
package enum PrivacyProgress {
    /// The services that hold personal data and have to report.
    package static let expected: [ServiceName] = [
        .ingestion, .identity, .consent, .segmentation, .recommendation, .journeys, .delivery,
    ]

    /// Pending until all have reported; then failed if any failed.
    package static func status(_ results: some Collection<PrivacyResultStatus>) -> PrivacyResultStatus {
        if results.isEmpty || results.contains(.pending) { return .pending }
        return results.contains(.failed) ? .failed : .completed
    }
}
