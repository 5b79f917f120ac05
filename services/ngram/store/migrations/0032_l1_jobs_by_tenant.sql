-- +goose Up
{{create_index}} idx_jobs_tenant ON tbl_l1_jobs (tenant, job_id);
