import Crypto
import Foundation
import HTTPTypes
import ServiceKit

/// `/v1/martlet.js`: the script that sites install; see Browser/README.md.
struct SnippetRoutes: Sendable {
    private let script: [UInt8]
    /// The same as most browsers fetch it.
    private let packed: [UInt8]?
    private let tag: String

    init(script: [UInt8]) {
        self.script = script
        packed = Gzip.packed(script)
        tag = Data(SHA256.hash(data: Data(script)).prefix(12)).base64URL
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/martlet.js", access: .open) { request in
            let packed = request.acceptsGzip ? packed : nil
            // Bytes that differ have tags that differ (RFC 9110, section 8.8.3.3).
            let tag = packed == nil ? tag : tag + "-gzip"
            var headers: HTTPFields = [
                .cacheControl: "public, max-age=3600", .eTag: "\"\(tag)\"", .accessControlAllowOrigin: "*",
                .vary: "Accept-Encoding",
            ]
            if let known = request.ifNoneMatch, known.contains(tag) {
                return .empty(.notModified, headers: headers)
            }
            if packed != nil { headers[.contentEncoding] = "gzip" }
            return .bytes(
                packed ?? script, contentType: "text/javascript; charset=utf-8", headers: headers)
        }
    }
}
