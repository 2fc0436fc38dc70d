import IngestionDomain
import Models
import ServiceKit

/// `/v1/sources/{id}/debugger`: what a source sends and what becomes of it, as it happens.
struct DebuggerRoutes: Sendable {
    let debugger: Debugger

    func add(to router: ServiceRouter) {
        router.get("/v1/sources/{id}/debugger", scope: .sourcesRead, touches: .identifiers) {
            try await debugger.watch($0)
        }
    }
}

extension Debugger {
    static let verdicts = ["accepted", "duplicate", "quarantined", "refused"]

    fileprivate func watch(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        let last = try request.query("last", in: 0...500, default: 50)
        var filter = RecentItemFilter()
        filter.event = try request.query("event")
        if let verdicts = try request.query("verdict") {
            filter.verdicts = Set(verdicts.split(separator: ",").map(String.init))
            guard filter.verdicts.isSubset(of: Self.verdicts), !filter.verdicts.isEmpty else {
                throw Problem.badRequest(
                    "`verdict` must be one or more of \(Self.verdicts.joined(separator: ", ")), with commas between"
                )
            }
        }
        // A browser sends back what it was sent. Anything else is as good as a place that is not known any more.
        let resumingAfter = request.header(.lastEventID).map { Int64($0) ?? -1 }
        guard try await sources.exists(source) else { throw Problem.noSource }
        return try watch(source, filter, last: last, resumingAfter: resumingAfter)
    }
}
