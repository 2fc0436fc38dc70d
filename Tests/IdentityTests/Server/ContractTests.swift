import HTTPTypes
import Models
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "The contract of identity",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ContractTests {
    @Test("the OpenAPI file names every route of the service, and no other")
    func routes() async throws {
        try await IdentityDatabase.with { database in
            try await ServiceHarness.with(
                identityService, database: database.database, clock: SimulatedClock(start), workers: false
            ) { service in
                let served = Set(service.routes.map { "\($0.method.rawValue) \($0.path)" })
                let contract = try await service.request("GET", "/openapi.yaml", as: .none)
                #expect(contract.status == 200)
                #expect(Self.operations(of: contract.text) == served)
            }
        }
    }

    /// `GET /v1/profiles` and so on: paths stand two spaces in, methods four.
    private static func operations(of contract: String) -> Set<String> {
        var operations: Set<String> = []
        var path = ""
        for line in contract.split(separator: "\n").drop(while: { $0 != "paths:" }).dropFirst() {
            if !line.hasPrefix(" ") { break }
            if line.hasPrefix("  /"), line.hasSuffix(":") { path = String(line.dropFirst(2).dropLast()) }
            for method in ["get", "put", "post", "delete", "patch"] where line == "    \(method):" {
                operations.insert("\(method.uppercased()) \(path)")
            }
        }
        return operations
    }
}
