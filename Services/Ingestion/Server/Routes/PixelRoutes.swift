import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// Calls out of images, where nothing else can be sent: Segment's `GET /v1/pixel/{method}?data=<base64 of the JSON>`,
/// and RudderStack's `GET /pixel/v1/{page,track}?writeKey=…&anonymousId=…&properties.sku=…`.
///
/// A 1×1 GIF says that the call is committed; anything else is a problem, as with every other call.
struct PixelRoutes: Sendable {
    let collector: Collector
    let limits: IngestionLimits
    /// A URL is this long at most, and so is what it brings.
    private static let queryBytes = 32 << 10

    func add(to router: ServiceRouter) {
        for kind in TrackingEvent.Kind.allCases {
            router.get("/v1/pixel/\(kind.rawValue)", access: .open) { request in
                guard let data = try request.query("data", maxBytes: Self.queryBytes) else {
                    throw Problem.badRequest("`data` must hold the base64 of the call's JSON")
                }
                return try await collect(try Self.decoded(data), kind, request)
            }
        }
        for kind in [TrackingEvent.Kind.page, .track] {
            router.get("/pixel/v1/\(kind.rawValue)", access: .open) { request in
                try await collect(Array(try PixelQuery.json(request, kind).compact.utf8), kind, request)
            }
        }
    }

    private func collect(
        _ body: [UInt8], _ kind: TrackingEvent.Kind, _ request: ServiceRequest
    ) async throws -> ServiceResponse {
        let outcome = try await collector.collect(
            body, call: .single(kind), limits: limits, request: request)
        if case .refused(let refusal)? = outcome.verdicts.first {
            throw Problem.badRequest(refusal.detail, type: "refused-\(refusal.reason.rawValue)")
        }
        return .bytes(Self.gif, contentType: "image/gif", headers: [.cacheControl: "no-store"])
    }

    /// Base64 of either alphabet, with or without padding; what mail programs turn into spaces were plus signs.
    private static func decoded(_ text: String) throws(Problem) -> [UInt8] {
        let plain = text.replacing(" ", with: "+").replacing("-", with: "+").replacing("_", with: "/")
            .replacing("=", with: "")
        let padded = plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: padded), !data.isEmpty else {
            throw .badRequest("`data` must hold the base64 of the call's JSON")
        }
        return Array(data)
    }

    /// One transparent pixel.
    private static let gif: [UInt8] = [
        0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF,
        0xFF, 0xFF, 0x21, 0xF9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2C, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
        0x01, 0x00, 0x00, 0x02, 0x02, 0x44, 0x01, 0x00, 0x3B,
    ]
}

/// RudderStack's pixel: each parameter is a member, and dots in its name lead into objects
/// (rudder-server, "Pixel Endpoints").
enum PixelQuery {
    private static let depth = 8

    static func json(_ request: ServiceRequest, _ kind: TrackingEvent.Kind) throws(Problem) -> JSON {
        var call: JSON = .object([:])
        for (name, value) in request.queryParameters {
            let path = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard path.count <= depth, !path.contains("") else {
                throw .badRequest("the names of parameters must be members, with dots between them")
            }
            call = setting(call, path[...], value)
        }
        if kind == .page, call["name"] == nil { call = setting(call, ["name"], "Unknown Page") }
        return call
    }

    private static func setting(_ json: JSON, _ path: ArraySlice<String>, _ value: String) -> JSON {
        guard let first = path.first else { return .string(value) }
        var members = json.object ?? [:]
        members[first] = setting(members[first] ?? .object([:]), path.dropFirst(), value)
        return .object(members)
    }
}
