// swift-tools-version: 6.2
import PackageDescription

// The target graph is the architecture: Server → Domain → Models; Server → Clients, ProfileStore →
// ServiceKit → Streams → Postgres → Models. A service never imports another service's Server.

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// `MARTLET_TESTS=Identity,Streams swift test` builds the named tests alone, with the services they are of.
let wanted = Context.environment["MARTLET_TESTS"].map { Set($0.split(separator: ",").map(String.init)) }
func isWanted(_ name: String) -> Bool { wanted?.contains(name) ?? true }

let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

func shared(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Shared/\(name)", resources: resources,
        swiftSettings: house)
}

/// What every service's Server target stands on.
let server: [Target.Dependency] = [
    "Contracts", "Models", "Postgres", "Sealing", "Streams", "ServiceKit", "ProfileStore", "Clients",
    logging, metrics, hummingbird, httpTypes, nioCore, lifecycle,
]

/// The two targets of a service: a pure Domain, and the executable around it.
func service(
    _ name: String, domain: [Target.Dependency] = [], server extra: [Target.Dependency] = [],
    embedded: [String] = [], exclude: [String] = []
) -> [Target] {
    [
        .target(
            name: "\(name)Domain", dependencies: ["Models"] + domain, path: "Services/\(name)/Domain",
            swiftSettings: house),
        .executableTarget(
            name: "\(name)Server", dependencies: [.target(name: "\(name)Domain")] + server + extra,
            path: "Services/\(name)/Server", exclude: exclude,
            resources: (["Migrations"] + embedded).map { .embedInCode($0) },
            swiftSettings: house),
    ]
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target? {
    guard isWanted(name) else { return nil }
    return .testTarget(
        name: "\(name)Tests", dependencies: dependencies + ["TestSupport"], path: "Tests/\(name)Tests",
        resources: resources, swiftSettings: house)
}

func serviceTests(_ name: String, _ extra: [Target.Dependency] = []) -> Target? {
    tests(name, [.target(name: "\(name)Domain"), .target(name: "\(name)Server")] + server + extra)
}

let sharedTargets: [Target] = [
    .systemLibrary(
        name: "CPostgres", path: "Shared/CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(
        name: "CCurl", path: "Shared/CCurl", pkgConfig: "libcurl",
        providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(
        name: "Contracts", path: "openapi", swiftSettings: house, plugins: ["EmbedContracts"]),
    .plugin(name: "EmbedContracts", capability: .buildTool(), dependencies: ["embed-contract"]),
    .executableTarget(
        name: "embed-contract", path: "Plugins/embed-contract", swiftSettings: house),
    .systemLibrary(
        name: "CZlib", path: "Shared/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    shared("Models", []),
    shared("Postgres", ["CPostgres", "Models", logging]),
    shared("Sealing", ["Models", "Postgres", crypto]),
    shared(
        "Streams",
        ["Models", "Postgres", "Sealing", logging, metrics, asyncHTTPClient, nioCore, nioHTTP1, lifecycle]),
    shared(
        "ServiceKit",
        [
            "CZlib", "Models", "Postgres", "Sealing", "Streams", logging, metrics, hummingbird, httpTypes,
            nioCore,
            nioHTTP1, nioHTTPTypes, .product(name: "HummingbirdCore", package: "hummingbird"),
            systemPackage, .product(name: "CoreMetrics", package: "swift-metrics"), asyncHTTPClient,
            lifecycle, unixSignals, configuration, crypto,
        ],
        resources: [.embedInCode("Migrations")]),
    shared("ProfileStore", ["Models", "Postgres", "Sealing", crypto]),
    shared("MarkedYAML", ["Models", yams]),
    shared("Clients", ["Models", "ServiceKit", asyncHTTPClient, nioCore]),
    shared(
        "TestSupport",
        [
            "Models", "Postgres", "Sealing", "Streams", "ServiceKit", logging, hummingbird, asyncHTTPClient,
            nioCore, nioHTTP1, httpTypes, lifecycle, yams,
        ]),
]

/// The services in the order of the picture in the README, with what their Server needs beyond the rest.
let services: [(name: String, server: [Target.Dependency])] = [
    ("Ingestion", ["MarkedYAML", "ConsentDomain", crypto]),
    ("Identity", ["MarkedYAML", "ConsentDomain", crypto]),
    ("Consent", ["MarkedYAML", "IngestionDomain", crypto]),
    ("Segmentation", ["ConsentDomain"]),
    ("Recommendation", ["ConsentDomain"]),
    ("Journeys", ["MarkedYAML", "ConsentDomain", crypto]),
    ("Delivery", ["CCurl", "ConsentDomain", crypto]),
].filter {
    // The tests of the command line and of ingestion ask identity who is who.
    isWanted($0.0) || ["Ingestion", "Identity"].contains($0.0) && isWanted("CommandLine")
        // What consent permits is asked by others, and it reads addresses as ingestion does.
        || ["Ingestion", "Consent"].contains($0.0)
        || $0.0 == "Identity" && isWanted("Ingestion")
        // Every service is held to what all have agreed on.
        || isWanted("Conformance")
        // Withdrawals are raced against sends.
        || $0.0 == "Delivery" && isWanted("Consent")
}

/// Those whose deciders ask what consent permits.
let asksConsent: Set<String> = ["Delivery", "Ingestion", "Journeys", "Segmentation"]

let commandLine = Target.executableTarget(
    name: "CommandLine",
    dependencies: [
        // How ingestion reads files, to tell what one would come to without an installation.
        "IngestionDomain", "MarkedYAML",
        // `martlet match` works on a file with what identity matches profiles with.
        "IdentityDomain",
        "Models", "Postgres", "Sealing", "Streams", "ServiceKit", "Clients", argumentParser, logging,
        crypto,
        asyncHTTPClient, nioCore, nioHTTP1, nioPosix,
    ],
    path: "CommandLine", swiftSettings: house)

/// What `make bench-segmentation` runs beside DuckDB: the decider alone, over events in memory.
let segmentationBenchmark = Target.executableTarget(
    name: "SegmentationBenchmark", dependencies: ["SegmentationDomain", "Models"],
    path: "Tests/Benchmarks/Segmentation", swiftSettings: house)

let testTargets: [Target] = [
    tests("Models", ["Models"]),
    tests("Postgres", ["Models", "Postgres", logging]),
    tests("Sealing", ["Models", "Postgres", "Sealing", "Streams", "ServiceKit", logging]),
    tests("Streams", ["Models", "Postgres", "Sealing", "Streams", logging, asyncHTTPClient, lifecycle]),
    tests(
        "ServiceKit",
        [
            "Models", "Postgres", "Sealing", "Streams", "ServiceKit", logging, hummingbird, httpTypes,
            asyncHTTPClient, crypto, nioCore, nioHTTP1, nioPosix,
            .product(name: "NIOEmbedded", package: "swift-nio"),
        ]),
    tests("ProfileStore", ["Models", "Postgres", "ProfileStore", "Sealing", "ServiceKit", crypto]),
    serviceTests("Ingestion", ["ConsentDomain", "IdentityDomain", "MarkedYAML", crypto]),
    serviceTests("Identity", ["ConsentDomain"]),
    serviceTests("Consent", ["DeliveryServer", crypto]),
    serviceTests("Segmentation", ["ConsentDomain"]),
    serviceTests("Recommendation", ["ConsentDomain"]),
    serviceTests("Journeys", ["ConsentDomain", yams]),
    serviceTests("Delivery", ["ConsentDomain", yams]),
    tests(
        "Conformance",
        ["ConsentDomain", "Models", "Postgres", "ServiceKit"]
            + [
                "Ingestion", "Identity", "Consent", "Segmentation", "Recommendation", "Journeys", "Delivery",
            ].map { .target(name: "\($0)Server") }),
    tests(
        "CommandLine",
        [
            "CommandLine", "IdentityDomain", "IngestionDomain", "Models", "Postgres", "ServiceKit", "Clients",
            yams, crypto,
            argumentParser,
            asyncHTTPClient, nioCore,
            logging,
        ]),
].compactMap { $0 }

let package = Package(
    name: "martlet",
    products: services.map { service in
        .executable(name: "martlet-\(service.name.lowercased())", targets: ["\(service.name)Server"])
    } + (isWanted("CommandLine") ? [.executable(name: "martlet", targets: ["CommandLine"])] : []),
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: sharedTargets
        + services.flatMap { each in
            let domain: [Target.Dependency] = asksConsent.contains(each.name) ? ["ConsentDomain"] : []
            return each.name == "Ingestion"
                ? service(
                    each.name, domain: domain, server: each.server, embedded: ["Browser/martlet.js"],
                    exclude: ["Browser/README.md", "Browser/martlet.tpl"])
                : service(each.name, domain: domain, server: each.server)
        }
        + (isWanted("CommandLine") ? [commandLine] : [])
        + (isWanted("Segmentation") ? [segmentationBenchmark] : [])
        + testTargets
)
