import Crypto
import Foundation
import HTTPTypes
import ServiceKit

/// `/v1/martlet.js`: the script that sites install; see Browser/README.md.
struct SnippetRoutes: Sendable {
    private let script: [UInt8]
    private let tag: String

    init(script: [UInt8]) {
        self.script = script
        let digest = SHA256.hash(data: Data(script)).prefix(12)
        tag = "\"\(Data(digest).base64URL)\""
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/martlet.js", access: .open) { request in
            let headers: HTTPFields = [
                .cacheControl: "public, max-age=3600", .eTag: tag, .accessControlAllowOrigin: "*",
            ]
            if let known = request.ifNoneMatch, known.contains(tag.replacing("\"", with: "")) {
                return .empty(.notModified, headers: headers)
            }
            return .bytes(script, contentType: "text/javascript; charset=utf-8", headers: headers)
        }
    }
}
