/// The services of a Martlet installation.
package enum ServiceName: String, CaseIterable, Sendable, Codable {
    case ingestion, identity, consent, segmentation, recommendation, journeys, delivery, console

    /// The port that the service listens on unless told otherwise.
    package var defaultPort: Int {
        switch self {
        case .console: 8100
        case .ingestion: 8101
        case .identity: 8102
        case .consent: 8103
        case .segmentation: 8104
        case .recommendation: 8105
        case .journeys: 8106
        case .delivery: 8107
        }
    }

    /// The service's own PostgreSQL schema.
    package var schema: String { rawValue }

    /// The PostgreSQL role that the service connects as.
    package var role: String { "martlet_\(rawValue)" }
}
