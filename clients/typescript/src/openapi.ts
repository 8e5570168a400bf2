// Made by `npm run types` from the worker's OpenAPI document. Do not edit.

export interface paths {
    "/api/comfy/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["health_api_comfy_health_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/queue": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["queue_api_comfy_queue_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/status/{prompt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["status_api_comfy_status__prompt_id__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/history/{prompt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["history_api_comfy_history__prompt_id__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/object-info": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["object_info_api_comfy_object_info_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/object-info/{node}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["one_node_api_comfy_object_info__node__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/view": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["view_api_comfy_view_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/stream/{prompt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["stream_api_comfy_stream__prompt_id__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/stream/{prompt_id}/link": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["link_api_comfy_stream__prompt_id__link_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/ingest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["ingest_api_comfy_ingest_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["page_api_comfy_gallery_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/days": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["days_api_comfy_gallery_days_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/facets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["facets_api_comfy_gallery_facets_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["item_api_comfy_gallery__id__get"];
        put?: never;
        post?: never;
        delete: operations["delete_api_comfy_gallery__id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}/undo": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["undo_api_comfy_gallery__id__undo_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}/file": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["file_api_comfy_gallery__id__file_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}/thumbnail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["thumbnail_api_comfy_gallery__id__thumbnail_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/text2img": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["text2img_api_comfy_text2img_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * ComfyEvent
         * @description One event: `status` holds a ComfyStatus, `images` a prompt_id and its images, the others a code and a message.
         */
        ComfyEvent: {
            /**
             * Event
             * @enum {string}
             */
            event: "status" | "warning" | "error" | "images";
            /** Id */
            id: string | null;
            /** Data */
            data: {
                [key: string]: unknown;
            };
        };
        /**
         * ComfyFile
         * @description A file the prompt has made; `filename`, `subfolder` and `type` are what /api/comfy/view takes.
         */
        ComfyFile: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio" | "file";
            /** Node Id */
            node_id: string | null;
            /** Filename */
            filename: string;
            /** Subfolder */
            subfolder: string;
            /** Type */
            type: string;
            /** Mime Type */
            mime_type: string;
            /** Size Bytes */
            size_bytes?: number | null;
            /** Width */
            width?: number | null;
            /** Height */
            height?: number | null;
            /** Url */
            url: string | null;
        };
        /**
         * ComfyHealth
         * @description Whether the surface is on and, if so, what it talks to: `base_url` of the first ComfyUI, `timeout` in seconds.
         *
         *     `client_wired`: there is a ComfyUI to talk to at all. `instances` tell of each whether it is well.
         */
        ComfyHealth: {
            /** Ok */
            ok: boolean;
            /** Enabled */
            enabled: boolean;
            /** Base Url */
            base_url?: string | null;
            /** Timeout */
            timeout?: number | null;
            /** Client Wired */
            client_wired?: boolean | null;
            /** Instances */
            instances?: {
                [key: string]: unknown;
            }[] | null;
        };
        /**
         * ComfyHistory
         * @description What a prompt has made: `images`, and in `items` whatever else it was. Of its workflow nothing is told.
         */
        ComfyHistory: {
            /** Prompt Id */
            prompt_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Progress */
            progress: number | null;
            /** Images */
            images: components["schemas"]["ComfyFile"][];
            /** Items */
            items: (components["schemas"]["ComfyFile"] | components["schemas"]["ComfyText"])[];
            error: components["schemas"]["Reason"] | null;
        };
        /**
         * ComfyObjectInfo
         * @description Node definitions by class, as ComfyUI has them.
         */
        ComfyObjectInfo: {
            [key: string]: {
                [key: string]: unknown;
            };
        };
        /**
         * ComfyQueueRequest
         * @description A workflow in API format; beside it whatever a job may have. `client_id` is only given back.
         */
        ComfyQueueRequest: {
            /** @default normal */
            priority?: components["schemas"]["Priority"];
            /** Webhook */
            webhook?: string | null;
            /** Ttl S */
            ttl_s?: number | null;
            /** Labels */
            labels?: {
                [key: string]: string;
            };
            /** Workflow */
            workflow: {
                [key: string]: unknown;
            };
            /**
             * Images
             * @default []
             */
            images?: components["schemas"]["ImageFields"][];
            /**
             * Overrides
             * @default {}
             */
            overrides?: {
                [key: string]: unknown;
            };
            /**
             * Force
             * @default false
             */
            force?: boolean;
            /** Comfy Org Api Key */
            comfy_org_api_key?: string | null;
            /**
             * Extra Pnginfo
             * @default {}
             */
            extra_pnginfo?: {
                [key: string]: unknown;
            };
            /** Output Format */
            output_format?: ("png" | "jpeg" | "webp") | null;
            /**
             * Output Quality
             * @default 90
             */
            output_quality?: number;
            /** Metadata */
            metadata?: ("keep" | "strip") | null;
            /** Delivery */
            delivery?: ("base64" | "s3") | null;
            /**
             * Include Temp
             * @default false
             */
            include_temp?: boolean;
            s3?: components["schemas"]["S3Fields"] | null;
            /** Timeout S */
            timeout_s?: number | null;
            /**
             * Receipt
             * @default false
             */
            receipt?: boolean;
            /**
             * Timings
             * @default false
             */
            timings?: boolean;
            /**
             * Previews
             * @default false
             */
            previews?: boolean;
            /**
             * Traceparent
             * @default
             */
            traceparent?: string;
            /**
             * Gpu
             * @default
             */
            gpu?: string;
            /**
             * Machine Id
             * @default
             */
            machine_id?: string;
            deployment?: components["schemas"]["DeploymentFields"] | null;
            report?: components["schemas"]["ReportFields"] | null;
            /** Client Id */
            client_id?: string | null;
        };
        /**
         * ComfyQueueResponse
         * @description The workflow is kept and in line; `position` counts those before it.
         */
        ComfyQueueResponse: {
            /** Prompt Id */
            prompt_id: string;
            /** Client Id */
            client_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Position */
            position: number;
        };
        /**
         * ComfyStatus
         * @description A prompt as it stands. `progress` is 0 to 100, null where nobody can tell; `position` counts those before it.
         *
         *     `images` are there once it has ended.
         */
        ComfyStatus: {
            /** Prompt Id */
            prompt_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Progress */
            progress: number | null;
            /** Position */
            position: number | null;
            /** Node */
            node: string | null;
            /** Step */
            step: number | null;
            /** Steps */
            steps: number | null;
            /** Instance */
            instance: string | null;
            /** Created At */
            created_at: number | null;
            /** Started At */
            started_at: number | null;
            /** Finished At */
            finished_at: number | null;
            /**
             * Images
             * @default []
             */
            images?: components["schemas"]["ComfyFile"][];
            error: components["schemas"]["Reason"] | null;
        } & {
            [key: string]: unknown;
        };
        /**
         * ComfyStreamLink
         * @description An address that opens a prompt's stream without a key until `expires_at` (epoch seconds).
         */
        ComfyStreamLink: {
            /** Stream */
            stream: string;
            /** Expires At */
            expires_at: number;
        };
        /**
         * ComfyText
         * @description A text the prompt has made.
         */
        ComfyText: {
            /**
             * Kind
             * @constant
             */
            kind: "text";
            /** Node Id */
            node_id: string | null;
            /** Text */
            text: string;
        };
        /**
         * ComfyText2ImgResponse
         * @description The prompt is in line. `workflow` is what was made; `warnings` tell what was not taken as it was asked for.
         */
        ComfyText2ImgResponse: {
            /** Prompt Id */
            prompt_id: string;
            /** Client Id */
            client_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Position */
            position: number;
            /** Checkpoint */
            checkpoint: string;
            /**
             * Family
             * @enum {string}
             */
            family: "sd15" | "sdxl" | "sd3" | "flux";
            /** Seed */
            seed: number;
            /** Width */
            width: number;
            /** Height */
            height: number;
            /** Workflow */
            workflow: {
                [key: string]: unknown;
            };
            /** Warnings */
            warnings: components["schemas"]["Finding"][];
        };
        /**
         * DeploymentFields
         * @description What ComfyUI Deploy is to run: a deployment, or a workflow by id, by one of its versions or by name.
         */
        DeploymentFields: {
            /**
             * Deployment Id
             * @default
             */
            deployment_id?: string;
            /**
             * Workflow Id
             * @default
             */
            workflow_id?: string;
            /**
             * Workflow Version Id
             * @default
             */
            workflow_version_id?: string;
            /**
             * Name
             * @default
             */
            name?: string;
            /**
             * Inputs
             * @default {}
             */
            inputs?: {
                [key: string]: unknown;
            };
            /**
             * Machine Id
             * @default
             */
            machine_id?: string;
            /**
             * Gpu
             * @default
             */
            gpu?: string;
        };
        /**
         * ErrorBody
         * @description What every answer of status 400 and above holds. Below /v2/, `error` is the message.
         */
        ErrorBody: {
            /** Error */
            error: string;
            /** Message */
            message: string;
            /** Statuscode */
            statusCode: number;
            /** Code */
            code: string;
            /** Details */
            details: components["schemas"]["ErrorDetail"][];
        };
        /**
         * ErrorDetail
         * @description One finding; only the keys that apply are there.
         */
        ErrorDetail: {
            /**
             * Field
             * @default null
             */
            field?: string | null;
            /**
             * Message
             * @default null
             */
            message?: string | null;
            /**
             * Code
             * @default null
             */
            code?: string | null;
        } & {
            [key: string]: unknown;
        };
        /**
         * Finding
         * @description Something about the workflow; only the keys that apply are there.
         */
        Finding: {
            [key: string]: unknown;
        };
        /**
         * GalleryDay
         * @description How many files came in on a day (UTC).
         */
        GalleryDay: {
            /** Day */
            day: string;
            /** Count */
            count: number;
        };
        /**
         * GalleryDays
         * @description The days on which something came in, the newest first.
         */
        GalleryDays: {
            /** Days */
            days: components["schemas"]["GalleryDay"][];
            /** Total */
            total: number;
        };
        /**
         * GalleryFacet
         * @description How many files have that name of a workflow, or of a checkpoint.
         */
        GalleryFacet: {
            /** Name */
            name: string;
            /** Count */
            count: number;
        };
        /**
         * GalleryFacets
         * @description What the filters `workflow` and `checkpoint` may look for: the hundred most used of each.
         */
        GalleryFacets: {
            /** Workflows */
            workflows: components["schemas"]["GalleryFacet"][];
            /** Checkpoints */
            checkpoints: components["schemas"]["GalleryFacet"][];
        };
        /**
         * GalleryItem
         * @description A picture, video or sound. `id` is the sha256 of its content; times are epoch seconds, the day is UTC's.
         *
         *     Its addresses open without a key for a day and more. A sound or video has no thumbnail.
         */
        GalleryItem: {
            /** Id */
            id: string;
            /** Filename */
            filename: string;
            /** Media Type */
            media_type: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio";
            /** Size Bytes */
            size_bytes: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Created At */
            created_at: number;
            /** Day */
            day: string;
            /**
             * Source
             * @enum {string}
             */
            source: "generated" | "ingested";
            /** Prompt Id */
            prompt_id: string | null;
            /** Job Id */
            job_id: string | null;
            /** Workflow Name */
            workflow_name: string | null;
            /** Checkpoints */
            checkpoints: string[];
            /** Prompt */
            prompt: string | null;
            /** Deleted Until */
            deleted_until: number | null;
            /** File Url */
            file_url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
        };
        /**
         * GalleryPage
         * @description The newest first. `next` is the `cursor` of the page after this one; `is_indexing`: there will be more soon.
         */
        GalleryPage: {
            /** Items */
            items: components["schemas"]["GalleryItem"][];
            /** Next */
            next: string | null;
            /** Is Indexing */
            is_indexing: boolean;
        };
        /**
         * GallerySidecar
         * @description An item, and the whole JSON that lies beside its file.
         */
        GallerySidecar: {
            /** Id */
            id: string;
            /** Filename */
            filename: string;
            /** Media Type */
            media_type: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio";
            /** Size Bytes */
            size_bytes: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Created At */
            created_at: number;
            /** Day */
            day: string;
            /**
             * Source
             * @enum {string}
             */
            source: "generated" | "ingested";
            /** Prompt Id */
            prompt_id: string | null;
            /** Job Id */
            job_id: string | null;
            /** Workflow Name */
            workflow_name: string | null;
            /** Checkpoints */
            checkpoints: string[];
            /** Prompt */
            prompt: string | null;
            /** Deleted Until */
            deleted_until: number | null;
            /** File Url */
            file_url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
            /** Sidecar */
            sidecar: {
                [key: string]: unknown;
            };
        };
        /**
         * ImageFields
         * @description An entry of `images`. `formats` (png, jpeg, mp4 …) are those its content may have, `max_bytes` its size.
         */
        ImageFields: {
            /** Name */
            name: string;
            /** Image */
            image: string;
            /** Max Bytes */
            max_bytes?: number | null;
            /** Formats */
            formats?: string[] | null;
        };
        /**
         * Ingested
         * @description The item of the gallery. The paths are below its folder.
         */
        Ingested: {
            /** Id */
            id: string;
            /** Filename */
            filename: string;
            /** Media Type */
            media_type: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio";
            /** Size Bytes */
            size_bytes: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Created At */
            created_at: number;
            /** Day */
            day: string;
            /**
             * Source
             * @enum {string}
             */
            source: "generated" | "ingested";
            /** Prompt Id */
            prompt_id: string | null;
            /** Job Id */
            job_id: string | null;
            /** Workflow Name */
            workflow_name: string | null;
            /** Checkpoints */
            checkpoints: string[];
            /** Prompt */
            prompt: string | null;
            /** Deleted Until */
            deleted_until: number | null;
            /** File Url */
            file_url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
            /** Is Duplicate */
            is_duplicate: boolean;
            /** Path */
            path: string;
            /** Sidecar Path */
            sidecar_path: string;
        };
        /**
         * Priority
         * @description How urgent a job is. `weight` shifts its place in line, see `rank_of`.
         * @enum {string}
         */
        Priority: "low" | "normal" | "high";
        /**
         * Problem
         * @description RFC 9457, for callers whose Accept prefers application/problem+json.
         */
        Problem: {
            /** Type */
            type: string;
            /** Title */
            title: string;
            /** Status */
            status: number;
            /** Detail */
            detail: string;
            /** Instance */
            instance: string;
            /** Code */
            code: string;
            /** Details */
            details: components["schemas"]["ErrorDetail"][];
        };
        /**
         * Reason
         * @description Why a job did not succeed.
         */
        Reason: {
            /** Code */
            code: string;
            /** Message */
            message: string;
        };
        /**
         * ReportFields
         * @description Where ComfyUI Deploy is told of a run that it has this worker do, as its machine.
         */
        ReportFields: {
            /** Run Id */
            run_id: string;
            /** Status Url */
            status_url: string;
            /**
             * Upload Url
             * @default
             */
            upload_url?: string;
            /**
             * Token
             * @default
             */
            token?: string;
            /** Gpu Event Id */
            gpu_event_id?: string | null;
        };
        /**
         * S3Fields
         * @description A bucket of the caller's own; in our spelling or in RunPod's.
         */
        S3Fields: {
            /** Endpoint Url */
            endpoint_url: string;
            /** Access Key Id */
            access_key_id: string;
            /** Secret Access Key */
            secret_access_key: string;
            /** Bucket Name */
            bucket_name?: string | null;
            /** Region */
            region?: string | null;
            /** Prefix */
            prefix?: string | null;
        };
        /**
         * Source
         * @description How a file came here. Generated: as the output of a job. Ingested: somebody sent it in, to be kept.
         * @enum {string}
         */
        Source: "generated" | "ingested";
        /**
         * Text2ImgRequest
         * @description A picture to be made from words. What is left out is chosen to suit the checkpoint's family.
         *
         *     Sides are in pixels. The switches take true, or a number for what they are about: pag its scale, deepshrink the
         *     factor by which it shrinks, detail_daemon its amount, split_sigmas the step at which the second part begins.
         */
        Text2ImgRequest: {
            /** @default normal */
            priority?: components["schemas"]["Priority"];
            /** Webhook */
            webhook?: string | null;
            /** Ttl S */
            ttl_s?: number | null;
            /** Labels */
            labels?: {
                [key: string]: string;
            };
            /**
             * Caption
             * @description What the picture shows
             */
            caption: string;
            /**
             * Negative
             * @description What it must not show; without effect on Flux
             * @default
             */
            negative?: string;
            /**
             * Width
             * @description Rounded to a multiple of 8, for SD3 and Flux of 16
             */
            width?: number | null;
            /** Height */
            height?: number | null;
            /** Steps */
            steps?: number | null;
            /**
             * Cfg
             * @description How closely it follows the words; for Flux, its guidance
             */
            cfg?: number | null;
            /**
             * Seed
             * @description Left out, a random one
             */
            seed?: number | null;
            /** Sampler */
            sampler?: string | null;
            /** Scheduler */
            scheduler?: string | null;
            /**
             * Batch Size
             * @description How many pictures
             * @default 1
             */
            batch_size?: number;
            /**
             * Checkpoint
             * @description A checkpoint or diffusion model that ComfyUI offers; left out, the first one
             */
            checkpoint?: string | null;
            /**
             * Family
             * @description What the checkpoint is; left out, its file tells or else its name
             */
            family?: ("sd15" | "sdxl" | "sd3" | "flux") | null;
            /**
             * Loras
             * @default []
             */
            loras?: string[];
            /**
             * Lora Weights
             * @description One for each of loras in their order, or by name; those left out are 1
             * @default []
             */
            lora_weights?: number[] | {
                [key: string]: number;
            };
            /**
             * Pag
             * @description Perturbed attention guidance
             * @default false
             */
            pag?: boolean | number;
            /**
             * Deepshrink
             * @description Kohya's deep shrink, for sizes beyond those the model was trained with
             * @default false
             */
            deepshrink?: boolean | number;
            /**
             * Detail Daemon
             * @description More detail; with split_sigmas in the second part only
             * @default false
             */
            detail_daemon?: boolean | number;
            /**
             * Split Sigmas
             * @description Sample in two parts
             * @default false
             */
            split_sigmas?: boolean | number;
            /**
             * Client Id
             * @description Handed back in the answer
             */
            client_id?: string | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    health_api_comfy_health_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyHealth"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    queue_api_comfy_queue_post: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ComfyQueueRequest"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyQueueResponse"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    status_api_comfy_status__prompt_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyStatus"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    history_api_comfy_history__prompt_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyHistory"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    object_info_api_comfy_object_info_get: {
        parameters: {
            query?: {
                node?: string | null;
                refresh?: boolean;
                instance?: string | null;
            };
            header?: {
                "If-None-Match"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyObjectInfo"];
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    one_node_api_comfy_object_info__node__get: {
        parameters: {
            query?: {
                refresh?: boolean;
                instance?: string | null;
            };
            header?: {
                "If-None-Match"?: string | null;
            };
            path: {
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyObjectInfo"];
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    view_api_comfy_view_get: {
        parameters: {
            query: {
                filename: string;
                subfolder?: string;
                type?: "output" | "temp" | "input";
                instance?: string | null;
                thumbnail?: number | null;
            };
            header?: {
                Range?: string | null;
                "If-Range"?: string | null;
                "If-None-Match"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            307: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    stream_api_comfy_stream__prompt_id__get: {
        parameters: {
            query?: {
                last_event_id?: string | null;
            };
            header?: {
                "Last-Event-ID"?: string | null;
            };
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["ComfyEvent"];
                };
            };
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "text/event-stream": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    link_api_comfy_stream__prompt_id__link_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyStreamLink"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    ingest_api_comfy_ingest_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /** Format: binary */
                    file: string;
                    prompt_id?: string;
                    workflow?: string;
                    metadata?: string;
                };
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ingested"];
                };
            };
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ingested"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    page_api_comfy_gallery_get: {
        parameters: {
            query?: {
                limit?: number;
                cursor?: number | null;
                q?: string;
                day?: string | null;
                workflow?: string | null;
                checkpoint?: string | null;
                kind?: ("image" | "video" | "audio") | null;
                source?: components["schemas"]["Source"] | null;
                min_width?: number | null;
                max_width?: number | null;
                min_height?: number | null;
                max_height?: number | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryPage"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    days_api_comfy_gallery_days_get: {
        parameters: {
            query?: {
                q?: string;
                day?: string | null;
                workflow?: string | null;
                checkpoint?: string | null;
                kind?: ("image" | "video" | "audio") | null;
                source?: components["schemas"]["Source"] | null;
                min_width?: number | null;
                max_width?: number | null;
                min_height?: number | null;
                max_height?: number | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryDays"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    facets_api_comfy_gallery_facets_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryFacets"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    item_api_comfy_gallery__id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GallerySidecar"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    delete_api_comfy_gallery__id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryItem"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    undo_api_comfy_gallery__id__undo_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryItem"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    file_api_comfy_gallery__id__file_get: {
        parameters: {
            query?: never;
            header?: {
                Range?: string | null;
                "If-Range"?: string | null;
                "If-None-Match"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    thumbnail_api_comfy_gallery__id__thumbnail_get: {
        parameters: {
            query?: {
                side?: number;
            };
            header?: {
                "If-None-Match"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    text2img_api_comfy_text2img_post: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Text2ImgRequest"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyText2ImgResponse"];
                };
            };
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
}
