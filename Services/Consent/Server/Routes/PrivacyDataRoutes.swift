import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// What was found for somebody who asked what is known of them: all of it, or what they have provided as data.
struct PrivacyDataRoutes: Sendable {
    let pool: PostgresPool
    let desk: PrivacyDesk
    let signer: HeadSigner

    private enum Format: String, CaseIterable { case json, csv }

    func add(to router: ServiceRouter) {
        router.get("/v1/privacy-requests/{id}/bundle", scope: .privacyRead, touches: .identifiers) {
            try await bundle($0)
        }
        router.get("/v1/privacy-requests/{id}/data", scope: .privacyRead, touches: .identifiers) {
            try await data($0)
        }
        router.get("/v1/privacy-requests/{id}/receipt", scope: .privacyRead, touches: .pseudonyms) {
            try await receipt($0)
        }
    }

    /// Everything that the services found, once all have reported.
    private func bundle(_ request: ServiceRequest) async throws -> ServiceResponse {
        let (stored, results) = try await found(request)
        let reports = try await reports(of: stored, results)
        if reports.contains(where: { !$0.lists.isEmpty }) {
            let head = stored.json(results: results).compact
            return streaming("application/json") { take in
                try await take("{\"request\":\(head),\"services\":{")
                for (number, report) in reports.enumerated() {
                    try await take((number == 0 ? "" : ",") + "\"\(report.service.rawValue)\":")
                    try await report.write(in: pool, take)
                }
                try await take("}}")
            }
        }
        return .json([
            "request": stored.json(results: results), "services": .object(Self.findings(results)),
        ])
    }

    /// What the person has provided, for a machine to read.
    private func data(_ request: ServiceRequest) async throws -> ServiceResponse {
        var format = Format.json
        if let text = try request.query("format") {
            guard let known = Format(rawValue: text) else {
                throw Problem.badRequest("`format` must be json or csv")
            }
            format = known
        }
        let (stored, results) = try await found(request)
        let reports = try await reports(of: stored, results)
        if reports.contains(where: { !$0.lists.isEmpty }) { return portable(reports, as: format) }
        let data = PortableData.of(Self.findings(results))
        switch format {
        case .json: return .json(data)
        case .csv:
            return .bytes(
                Array(PortableData.csv(of: data).utf8), contentType: Self.csvType)
        }
    }

    /// What each service found, in the order of their names.
    private func reports(
        of stored: StoredPrivacyRequest, _ results: [PrivacyResult]
    ) async throws -> [FoundReport] {
        let lists = try await PrivacyPartStore.lists(of: stored.id, in: pool)
        return results.sorted { $0.service.rawValue.precedesInUTF8($1.service.rawValue) }.map { result in
            FoundReport(
                id: stored.id, service: result.service, result: result.result ?? .null,
                lists: lists[result.service] ?? [:], vault: desk.vault)
        }
    }

    /// The same as ``PortableData`` makes of what is little, list by list.
    private func portable(_ reports: [FoundReport], as format: Format) -> ServiceResponse {
        let parts = PortableData.parts.sorted { $0.name.precedesInUTF8($1.name) }
        switch format {
        case .json:
            return streaming("application/json") { take in
                for (number, part) in parts.enumerated() {
                    try await take((number == 0 ? "{" : ",") + JSON.string(part.name).compact + ":")
                    let report = reports.first { $0.service.rawValue == part.service }
                    if let report, report.lists[part.member] != nil {
                        try await report.writeList(part.member, in: pool, take)
                    } else {
                        try await take(part.value(of: report?.result ?? .null).compact)
                    }
                }
                try await take("}")
            }
        case .csv:
            return streaming(Self.csvType) { take in
                try await take(PortableData.csvHeader)
                for part in parts {
                    let report = reports.first { $0.service.rawValue == part.service }
                    guard let report, report.lists[part.member] != nil else {
                        try await take(
                            PortableData.csvLines(
                                of: PortableData.items(of: part.value(of: report?.result ?? .null)),
                                in: part.name, from: 1))
                        continue
                    }
                    var number = 1
                    try await report.eachItem(of: part.member, in: pool) { items in
                        try await take(PortableData.csvLines(of: items, in: part.name, from: number))
                        number += items.count
                    }
                }
            }
        }
    }

    private static let csvType = "text/csv; charset=utf-8; header=present"
    /// A reader who takes longer than this for one answer gets no more of it.
    private static let longest = Duration.seconds(3_600)

    private func streaming(
        _ contentType: String, _ write: @escaping @Sendable (FoundReport.Take) async throws -> Void
    ) -> ServiceResponse {
        .streaming(contentType, longest: Self.longest) { writer in
            do {
                try await write { text in
                    // A chunk of nothing would be the end of the body.
                    if !text.isEmpty { try await writer.write(Array(text.utf8)) }
                }
            } catch is CancellationError {
                // Half of it must not look like all of it.
                throw Problem.unavailable("the answer was cut off")
            }
        }
    }

    /// What was done, signed.
    private func receipt(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        guard let stored = try await PrivacyRequestStore.get(id, in: pool) else { throw PrivacyDesk.unknown }
        guard stored.lifecycle.state == .completed else {
            throw Problem.conflict(
                "the request is \(stored.lifecycle.state.rawValue); there is a receipt once it is completed",
                type: "not-completed")
        }
        let receipt = PrivacyReceipt(
            requestID: id, profileID: stored.profileID, lifecycle: stored.lifecycle,
            stores: try await PrivacyResultStore.stores(
                of: id, isErasure: stored.kind.work == .erasure, vault: desk.vault, in: pool),
            recipients: try await PrivacyRecipientStore.recipients(of: id, in: pool).map(\.json))
        return .json(try signer.sign(receipt))
    }

    private static func findings(_ results: [PrivacyResult]) -> [String: JSON] {
        Dictionary(
            results.map { ($0.service.rawValue, $0.result ?? .null) }, uniquingKeysWith: { first, _ in first }
        )
    }

    /// The results of a request that may be shown.
    private func found(
        _ request: ServiceRequest
    ) async throws -> (StoredPrivacyRequest, [PrivacyResult]) {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        guard let stored = try await PrivacyRequestStore.get(id, in: pool) else { throw PrivacyDesk.unknown }
        guard stored.kind.discloses else {
            throw Problem.notFound(
                "only a request of access, portability or know finds anything to show", type: "no-bundle")
        }
        let results = try await PrivacyResultStore.results(of: id, vault: desk.vault, in: pool)
        switch stored.lifecycle.state {
        case .received, .verifying: throw PrivacyDesk.problem(.notVerified)
        case .refused, .cancelled:
            throw Problem.conflict(
                "the request was \(stored.lifecycle.state.rawValue), so there is nothing to show",
                type: "privacy-request-ended")
        case .inProgress where stored.status == .pending:
            let missing = results.filter { $0.status == .pending }.map(\.service.rawValue)
            throw Problem.conflict(
                "not all services have reported yet; missing: \(missing.joined(separator: ", "))",
                type: "privacy-request-pending")
        case .inProgress, .completed: break
        }
        if results.contains(where: { $0.status == .completed && $0.result == nil }) {
            throw SubjectResolver.erased
        }
        return (stored, results)
    }
}
