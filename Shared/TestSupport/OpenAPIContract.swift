import HTTPTypes
package import ServiceKit
import Yams

/// Holds a service's router to its OpenAPI file, in both directions.
package enum OpenAPIContract {
    /// What is routed and not written down, or written down and not routed; empty when the two agree.
    package static func drift(file: [UInt8], routes: [ServiceRouter.Route]) throws -> [String] {
        let root = try Yams.compose(yaml: String(decoding: file, as: UTF8.self))
        var documented: Set<String> = []
        var touches: [String: String] = [:]
        for (path, item) in root?["paths"]?.mapping ?? [:] {
            for (method, operation) in item.mapping ?? [:] {
                guard let method = method.string, methods.contains(method) else { continue }
                let name = "\(method.uppercased()) \(path.string ?? "")"
                documented.insert(name)
                touches[name] = operation["x-martlet-touches"]?.string
            }
        }
        let routed = Set(routes.map { "\($0.method.rawValue) \($0.path)" })
        let misunderstood = routes.filter {
            $0.touches?.rawValue != touches["\($0.method.rawValue) \($0.path)"]
        }
        return documented.subtracting(routed).sorted().map { "\($0) is in the file and not in the router" }
            + routed.subtracting(documented).sorted().map { "\($0) is in the router and not in the file" }
            + misunderstood.map {
                "\($0.method.rawValue) \($0.path) touches \($0.touches?.rawValue ?? "nothing"); the file's "
                    + "x-martlet-touches says something else"
            }
    }

    private static let methods: Set<String> = [
        "get", "put", "post", "delete", "options", "head", "patch", "trace",
    ]
}
